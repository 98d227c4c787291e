/* demo MODEL TRAIN TEST FOLDER - the main job on real pictures.
 *
 * Puts exits into MODEL, trains heads and gates on TRAIN, judges every
 * operating point on TEST and leaves in FOLDER: early.onnx, tradeoff.csv and
 * exits.png, a sheet of the pictures that left at each exit. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <leenet/leenet.h>

#include "sheet.h"

enum { EXITS = 4, COLUMNS = 24, WRONG_COLUMNS = 6, SIDE = 28, CHUNK = 100 };

static const double alphas[] = { 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6 };
enum { ALPHAS = sizeof alphas / sizeof alphas[0] };

/* What train_backbone.py fed. */
static const double pixel_mean = 0.286, pixel_std = 0.353;

static const char *const class_names[10] = {
    "T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot"
};

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int fail(const char *what, const ln_error *err)
{
    fprintf(stderr, "demo: %s: %s\n", what, err->text);
    return -1;
}

/* One line that changes, on a terminal only. */
static int show_progress(const ln_progress *p, void *payload)
{
    (void)payload;
    if (!isatty(STDERR_FILENO))
        return 0;
    fprintf(stderr, "\r  %-9s %3.0f %%", p->stage,
            p->total > 0 ? 100.0 * (double)p->done / (double)p->total : 0.0);
    if (p->epoch > 0)
        fprintf(stderr, "  %u of %u  held out %.4f", p->epoch, p->epochs, p->validation);
    fprintf(stderr, "\033[K");
    return 0;
}

static void end_progress(void)
{
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r\033[K");
}

/* ---- Training ---------------------------------------------------------------- */

static int open_model(ln_model **model, const char *path)
{
    ln_error err;
    ln_preprocess pixels = LN_PREPROCESS_INIT;
    ln_exit_options head = LN_EXIT_OPTIONS_INIT;

    if (ln_model_load(model, path, NULL, &err) < 0)
        return fail("load", &err);
    pixels.mean[0] = pixel_mean;
    pixels.std[0] = pixel_std;
    head.hidden = 128;
    if (ln_model_set_preprocess(*model, &pixels, &err) < 0 ||
        ln_model_set_classes(*model, class_names, NULL, 10, &err) < 0 ||
        ln_exit_add_auto(*model, EXITS, &head, &err) < 0)
        return fail(path, &err);
    return 0;
}

static int train(ln_model *model, const char *source)
{
    ln_error err;
    ln_data *rows = NULL;
    ln_train_options heads = LN_TRAIN_OPTIONS_INIT;
    ln_gate_options gates = LN_GATE_OPTIONS_INIT;
    double start = seconds();
    int failed = 0;

    if (ln_data_open(&rows, source, NULL, &err) < 0)
        return fail("training pictures", &err);
    printf("training on %zu pictures the network has not seen\n", ln_data_rows(rows));
    heads.epochs = 20;
    heads.progress = show_progress;
    gates.alphas = alphas;
    gates.n_alphas = ALPHAS;
    gates.progress = show_progress;
    if (ln_exit_train(model, rows, &heads, &err) < 0)
        failed = fail("heads", &err);
    else if (ln_gate_train(model, rows, &gates, &err) < 0)
        failed = fail("gates", &err);
    end_progress();
    ln_data_free(rows);
    if (!failed)
        printf("heads and gates for %d alphas: %.1f s\n\n", (int)ALPHAS, seconds() - start);
    return failed;
}

static void print_exits(const ln_model *model)
{
    printf("exit  behind                          shape       macs  accuracy of its head (rows held out)\n");
    for (uint32_t e = 0; e < ln_model_exit_count(model); e++) {
        ln_exit_info info = LN_EXIT_INFO_INIT;
        char shape[48];
        if (ln_exit_get_info(model, e, &info, NULL) < 0)
            continue;
        snprintf(shape, sizeof shape, "%ux%ux%u", info.channels, info.height, info.width);
        printf("%4u  %-30.30s  %-10s %4.1f %%  %.2f %%\n", e, info.value, shape,
               100 * info.macs_share, 100 * info.heldout_accuracy);
    }
    printf("\n");
}

/* ---- Judging ----------------------------------------------------------------- */

static int judge(ln_session *session, ln_data *data, ln_evaluation *of_point, ln_exit_share *shares,
                 uint32_t exits)
{
    ln_error err;
    ln_evaluate_options options = LN_EVALUATE_OPTIONS_INIT;
    uint32_t points[ALPHAS];

    for (uint32_t i = 0; i < ALPHAS; i++) {
        points[i] = i;
        of_point[i] = (ln_evaluation)LN_EVALUATION_INIT;
        of_point[i].exits = shares + i * (exits + 1);
    }
    options.points = points;
    options.n_points = ALPHAS;
    options.rows = 1;
    options.progress = show_progress;
    if (ln_evaluate(session, data, &options, of_point, &err) < 0)
        return fail("judging", &err);
    end_progress();
    return 0;
}

static void print_table(const ln_evaluation *of_point, uint32_t exits)
{
    printf("alpha  accuracy   lost ");
    for (uint32_t e = 0; e < exits; e++)
        printf("  exit %u", e);
    printf("     end  params    macs    time   (shares of the plain network)\n");
    for (uint32_t i = 0; i < ALPHAS; i++) {
        const ln_evaluation *v = &of_point[i];
        printf("%5.2f   %5.2f %%  %5.2f ", alphas[i], 100 * v->accuracy,
               100 * (v->plain_accuracy - v->accuracy));
        for (uint32_t e = 0; e <= exits; e++)
            printf(" %5.1f %%", 100 * v->exits[e].share);
        printf(" %5.1f %% %5.1f %% %5.1f %%\n", 100 * v->params_share, 100 * v->macs_share,
               100 * v->ms_per_row / v->plain_ms_per_row);
    }
    printf("plain   %5.2f %%  %.3f ms a picture, one thread, one picture at a time\n\n",
           100 * of_point[0].plain_accuracy, of_point[0].plain_ms_per_row);
}

static int write_csv(const char *path, const ln_evaluation *of_point, uint32_t exits)
{
    FILE *f = fopen(path, "w");
    if (f == NULL) {
        perror(path);
        return -1;
    }
    fprintf(f, "alpha,accuracy,plain_accuracy,params_share,macs_share,time_share,ms,plain_ms");
    for (uint32_t e = 0; e <= exits; e++)
        fprintf(f, ",share_%u,accuracy_%u", e, e);
    fprintf(f, "\n");
    for (uint32_t i = 0; i < ALPHAS; i++) {
        const ln_evaluation *v = &of_point[i];
        fprintf(f, "%g,%.5f,%.5f,%.5f,%.5f,%.5f,%.5f,%.5f", alphas[i], v->accuracy, v->plain_accuracy,
                v->params_share, v->macs_share, v->ms_per_row / v->plain_ms_per_row, v->ms_per_row,
                v->plain_ms_per_row);
        for (uint32_t e = 0; e <= exits; e++)
            fprintf(f, ",%.5f,%.5f", v->exits[e].share, v->exits[e].accuracy);
        fprintf(f, "\n");
    }
    return fclose(f);
}

/* ---- The sheet ----------------------------------------------------------------- */

/* The point that the rows of training put nearest to half of the time. */
static uint32_t middle_point(const ln_model *model)
{
    uint32_t best = 0;
    double distance = 2;
    for (uint32_t i = 0; i < ln_model_point_count(model); i++) {
        ln_point_info info = LN_POINT_INFO_INIT;
        if (ln_point_get_info(model, i, &info, NULL) >= 0 && fabs(info.time_share - 0.5) < distance) {
            distance = fabs(info.time_share - 0.5);
            best = i;
        }
    }
    return best;
}

/* Puts the picture in its exit's row while there is room: right ones from the
 * left, wrong ones in the last columns. */
static void place(sheet *s, uint32_t *right, uint32_t *wrong, const ln_result *answer, int32_t label,
                  const float *input)
{
    static const uint8_t green[3] = { 40, 160, 70 }, red[3] = { 210, 40, 40 };
    uint8_t grey[SIDE * SIDE];
    int is_right = answer->label == label;
    uint32_t *used = is_right ? &right[answer->exit] : &wrong[answer->exit];
    uint32_t room = is_right ? COLUMNS - WRONG_COLUMNS : WRONG_COLUMNS;

    if (*used == room)
        return;
    for (int i = 0; i < SIDE * SIDE; i++)
        grey[i] = (uint8_t)lround(255 * fmin(1, fmax(0, input[i] * pixel_std + pixel_mean)));
    sheet_put(s, *used + (is_right ? 0 : COLUMNS - WRONG_COLUMNS), answer->exit, grey,
              is_right ? green : red);
    ++*used;
}

static int fill_sheet(sheet *s, ln_session *session, const ln_model *model, ln_data *data)
{
    static float input[CHUNK * SIDE * SIDE];
    int32_t labels[CHUNK];
    uint32_t right[EXITS + 1] = { 0 }, wrong[EXITS + 1] = { 0 };
    ln_error err;

    for (size_t first = 0; first + CHUNK <= ln_data_rows(data); first += CHUNK) {
        if (ln_data_read(data, model, first, CHUNK, input, labels, &err) < 0)
            return fail("reading", &err);
        for (size_t i = 0; i < CHUNK; i++) {
            ln_result answer;
            const float *picture = input + i * SIDE * SIDE;
            if (ln_infer_early(session, picture, 1, &answer, NULL, &err) < 0)
                return fail("answering", &err);
            place(s, right, wrong, &answer, labels[i], picture);
        }
    }
    return 0;
}

static int draw_sheet(const char *path, ln_session *session, const ln_model *model, ln_data *data)
{
    sheet s;
    ln_error err;
    uint32_t point = middle_point(model), exits = ln_model_exit_count(model);
    int failed;

    if (ln_session_set_point(session, point, &err) < 0)
        return fail("operating point", &err);
    if (sheet_new(&s, COLUMNS, exits + 1, SIDE, 2) != 0) {
        fprintf(stderr, "demo: no memory for the sheet\n");
        return -1;
    }
    failed = fill_sheet(&s, session, model, data);
    if (!failed && sheet_write(&s, path) != 0) {
        fprintf(stderr, "demo: %s could not be written\n", path);
        failed = -1;
    }
    sheet_free(&s);
    if (!failed)
        printf("%s: pictures that left at each exit (a row each, from the top) at alpha %g;\n"
               "  green: answered right, red: wrong\n", path, alphas[point]);
    return failed;
}

/* ---- The whole ------------------------------------------------------------------ */

static int report(const ln_model *model, ln_session *session, const char *source, const char *folder)
{
    ln_error err;
    ln_data *data = NULL;
    ln_evaluation of_point[ALPHAS];
    ln_exit_share shares[ALPHAS * (EXITS + 1)];
    uint32_t exits = ln_model_exit_count(model);
    char path[1024];
    int failed;

    if (ln_data_open(&data, source, NULL, &err) < 0)
        return fail("test pictures", &err);
    printf("judging on %zu pictures that neither network nor heads nor gates have seen\n",
           ln_data_rows(data));
    failed = judge(session, data, of_point, shares, exits);
    if (!failed) {
        print_table(of_point, exits);
        snprintf(path, sizeof path, "%s/tradeoff.csv", folder);
        failed = write_csv(path, of_point, exits);
    }
    if (!failed) {
        snprintf(path, sizeof path, "%s/exits.png", folder);
        failed = draw_sheet(path, session, model, data);
    }
    ln_data_free(data);
    return failed;
}

/* Trains and saves; what is judged is the file, opened again. */
static int make_early(const char *backbone, const char *source, const char *path)
{
    ln_model *model = NULL;
    ln_error err;
    int failed = open_model(&model, backbone) != 0 || train(model, source) != 0;

    if (!failed && ln_model_save(model, path, &err) < 0)
        failed = fail("save", &err);
    if (!failed)
        print_exits(model);
    ln_model_free(model);
    return failed;
}

int main(int argc, char **argv)
{
    ln_model *model = NULL;
    ln_session *session = NULL;
    ln_error err;
    char path[1024];
    int failed;

    if (argc != 5) {
        fprintf(stderr, "usage: demo MODEL TRAIN TEST FOLDER\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    snprintf(path, sizeof path, "%s/early.onnx", argv[4]);
    failed = make_early(argv[1], argv[2], path);
    if (!failed && (ln_model_load(&model, path, NULL, &err) < 0 ||
                    ln_session_open(&session, model, NULL, &err) < 0))
        failed = fail(path, &err);
    if (!failed)
        failed = report(model, session, argv[3], argv[4]);
    ln_session_free(session);
    ln_model_free(model);
    return failed ? 1 : 0;
}
