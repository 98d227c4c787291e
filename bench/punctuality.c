/* punctuality.c - how punctual ln_infer_deadline is.
 *
 *     build/bench/punctuality MODEL DATA [ROWS]
 *
 * The first ROWS (300) rows of DATA are answered one by one on one thread by deadlines from a fifth of the plain network's
 * time to its whole, which come in turn. Prints for each how long calls took beside the deadline, how many were late, by how
 * much at worst, and how often the answer was right. */
#include <leenet/leenet.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { SHARES = 9, USUAL_ROWS = 300, MEASURED = 30 };

static ln_error err;

static void must(ln_status status)
{
    if (status >= 0)
        return;
    fprintf(stderr, "punctuality: %s: %s\n", ln_status_name(status), err.text);
    exit(1);
}

static double now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double plain_ms(ln_session *session, const ln_model *model, const float *input)
{
    uint32_t stages = ln_model_exit_count(model) + 1;
    ln_stage_time *times = calloc(stages, sizeof *times);
    double sum = 0;

    if (!times)
        exit(1);
    must(ln_session_measure(session, input, 1, MEASURED, times, &err));
    for (uint32_t i = 0; i < stages; i++)
        sum += times[i].backbone_ms;
    free(times);
    return sum;
}

static void print_line(double share, double deadline, double *took, size_t rows, size_t right, double exits)
{
    size_t late = 0;

    qsort(took, rows, sizeof *took, by_size);
    for (size_t r = 0; r < rows; r++)
        late += took[r] > deadline;
    printf("| %.1f | %.2f | %.2f | %.2f | %.2f | %.1f %% | %.1f | %.1f %% |\n", share, deadline, took[rows / 2], took[rows - 1 - rows / 100],
           took[rows - 1], 100.0 * (double)late / (double)rows, exits / (double)rows, 100.0 * (double)right / (double)rows);
}

static void answer(ln_session *session, ln_model *model, ln_data *data, size_t rows, size_t row_floats)
{
    double deadline[SHARES], exits[SHARES] = { 0 }, *took[SHARES];
    size_t right[SHARES] = { 0 };
    float *input = malloc(row_floats * sizeof *input);
    int32_t label;

    if (!input)
        exit(1);
    must(ln_data_read(data, model, 0, 1, input, NULL, &err));
    double plain = plain_ms(session, model, input);
    for (int d = 0; d < SHARES; d++) {
        deadline[d] = plain * (d + 2) / 10;
        took[d] = malloc(rows * sizeof **took);
        if (!took[d])
            exit(1);
    }
    for (size_t r = 0; r < rows; r++) {
        must(ln_data_read(data, model, r, 1, input, &label, &err));
        for (int d = 0; d < SHARES; d++) {
            ln_result result;
            double begin = now_ms();
            must(ln_infer_deadline(session, input, 1, deadline[d], &result, NULL, &err));
            took[d][r] = now_ms() - begin;
            right[d] += result.label == label;
            exits[d] += result.exit;
        }
    }
    printf("plain network: %.2f ms\n\n", plain);
    printf("| share | deadline ms | median ms | 99 of 100 | longest | late | mean exit | accuracy |\n|---:|---:|---:|---:|---:|---:|---:|---:|\n");
    for (int d = 0; d < SHARES; d++) {
        print_line((d + 2) / 10.0, deadline[d], took[d], rows, right[d], exits[d]);
        free(took[d]);
    }
    free(input);
}

int main(int argc, char **argv)
{
    size_t rows = argc > 3 ? (size_t)strtoul(argv[3], NULL, 10) : USUAL_ROWS;
    ln_session_options options = LN_SESSION_OPTIONS_INIT;
    ln_model_info info = LN_MODEL_INFO_INIT;
    ln_session *session;
    ln_model *model;
    ln_data *data;

    if (argc < 3 || rows == 0) {
        fprintf(stderr, "usage: punctuality MODEL DATA [ROWS]\n");
        return 2;
    }
    must(ln_model_load(&model, argv[1], NULL, &err));
    must(ln_model_get_info(model, &info, &err));
    must(ln_data_open(&data, argv[2], NULL, &err));
    must(ln_session_open(&session, model, &options, &err));
    if (rows > ln_data_rows(data))
        rows = ln_data_rows(data);
    answer(session, model, data, rows, (size_t)info.channels * info.height * info.width);
    ln_session_free(session);
    ln_data_free(data);
    ln_model_free(model);
    return 0;
}
