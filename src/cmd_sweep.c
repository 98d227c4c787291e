/* cmd_sweep.c - leenet sweep: what comes of every alpha, every budget and every size of the training set. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cmd_train.h"
#include "stats.h"

static const char name[] = "sweep";

enum { MOST_SIZES = 100 };
enum { ACCURACY, EXIT, MACS, TIME, FIGURES };

typedef struct settings {
    train_settings train;
    const char    *budgets, *sizes, *output, *csv;
    uint32_t       draws;
    bool           json;
} settings;

typedef struct line { bool budget; double at; estimate figure[FIGURES]; } line;

typedef struct stretch {        /* one size of the training set */
    double    percent;
    size_t    train_rows;
    line     *lines;
    size_t    n_lines;
    estimate  score;            /* accuracy, mean over budgets */
} stretch;

typedef struct sweep {
    settings *s;
    const char *path;
    ln_data  *val;
    cli_list  budgets, sizes;
    stretch  *stretches;        /* [sizes.count] */
    size_t    done;             /* of them: sizes that came to an end */
    log_line  scaling;
    progress  p;
    figures   figures;
} sweep;

#define SWEEP_TRAIN_OPTIONS(t)                                                                    \
    { CLI_TEXT, 0, "--exits", "auto[:K][@B,C...]|even:K|NAME,NAME...", &(t)->exits, 0, 0, "as in train, and its default" }, \
    { CLI_TEXT, 0, "--alpha", "A[,B...]|FROM:TO:COUNT", &(t)->alpha, 0, 0, "as in train, and its default" }, \
    { CLI_CHOICE, 0, "--head", "pool|flatten|conv", &(t)->head, 0, 0, "as in train (default: pool)" }, \
    { CLI_COUNT, 0, "--hidden", "N", &(t)->hidden, 0, 65536, "as in train, and its default" }, \
    { CLI_CHOICE, 0, "--cost", "time|params|macs", &(t)->cost, 0, 0,                              \
      "what alpha weighs and budgets speak of (default: time)" },                                 \
    { CLI_COUNT, 0, "--epochs", "N", &(t)->epochs, 1, 100000, "epochs of a head (default: 20)" }, \
    { CLI_COUNT, 0, "--folds", "N", &(t)->folds, 2, 100, "folds of cross-fitting the heads (default: 10 for pool heads on 20 rows or more, else 5)" },    \
    { CLI_WHOLE, 0, "--seed", "N", &(t)->seed, 0, 0, "of all random choices (default: 0)" },      \
    { CLI_COUNT, 0, "--threads", "N", &(t)->threads, 0, 1024, "0: all (default: 0)" },            \
    { CLI_BYTES, 0, "--max-memory", "BYTES", &(t)->max_memory, 0, 0, "as in train (default: 4G)" }, \
    { CLI_TEXT, 0, "--cache", "FOLDER", &(t)->cache, 0, 0, "as in train (default: /tmp)" },       \
    { CLI_FLAG, 0, "--no-tune", NULL, &(t)->no_tune, 0, 0, "as in train" }

static int parse(settings *s, int *argc, char **argv)
{
    train_settings *t = &s->train;
    const cli_option options[] = {
        { CLI_HEADING, 0, NULL, NULL, NULL, 0, 0, "Data" },
        { CLI_TEXT, 0, "--data", "SPEC", &t->data, 0, 0, "labelled pictures to train on (required)" },
        { CLI_TEXT, 0, "--val", "SPEC", &t->val, 0, 0, "labelled pictures to judge on (required)" },
        { CLI_TEXT, 0, "--class-map", "FILE[:all]", &t->class_map, 0, 0, "as in train" },
        { CLI_FLAG, 0, "--skip-bad", NULL, &t->skip_bad, 0, 0, "leave out pictures that cannot be read (default: fail)" },
        { CLI_HEADING, 0, NULL, NULL, NULL, 0, 0, "What is swept" },
        BUDGETS_OPTION(s->budgets),
        { CLI_TEXT, 0, "--sizes", "A,B...|FROM:TO:COUNT", &s->sizes, 0, 0,
          "per cent of --data to train on, the same of every class; each size trains anew, and a smaller one is part of "
          "a larger (default: 100)" },
        { CLI_HEADING, 0, NULL, NULL, NULL, 0, 0, "Training" },
        SWEEP_TRAIN_OPTIONS(t),
        { CLI_COUNT, 0, "--draws", "N", &s->draws, 100, 100000, "bootstrap draws (default: 1000)" },
        PREPROCESS_OPTIONS(t->preprocess),
        FIGURES_OPTIONS(s, t->quiet),
        CLI_END
    };
    const cli c = { name, "MODEL --data SPEC --val SPEC [options]",
                    "Trains exits as 'leenet train' does and judges them over every alpha and every budget: mean "
                    "accuracy, exit, multiply-adds and time, each with its 95 % bootstrap interval. With --sizes again for "
                    "every size of the training set, and a line accuracy = a + b ln(rows) is fitted to the mean over the "
                    "budgets. Nothing is saved but the figures.",
                    options, "one MODEL", 1, 1 };
    int code = cli_parse(&c, argc, argv);

    if (code == CLI_GO && !t->data)
        return cli_wrong(name, "--data SPEC is required");
    if (code == CLI_GO && !t->val)
        return cli_wrong(name, "--val SPEC is required");
    if (code == CLI_GO && s->output && plot_check(name, s->output) != TOOL_DONE)
        return TOOL_USAGE;
    if (code == CLI_GO && (code = train_complete(t, name)) == TOOL_DONE)
        return CLI_GO;
    return code;
}

/* ---- One size ---------------------------------------------------------------------------------------- */

static char *part_of(const char *spec, double percent)
{
    size_t room = strlen(spec) + 32;
    char *out = tool_alloc(room, 1);

    snprintf(out, room, "%s:share=%.0f/100", spec, percent);
    return out;
}

typedef struct judgement {
    ln_model   *model;
    ln_answers *answers;
    ln_result  *results;
    size_t      rows;
    float      *values;         /* [rows][lines][FIGURES], then [rows] the score */
    size_t      width;
} judgement;

/* `plain`: at a setting that never leaves early, where no head runs. */
static void note(judgement *j, size_t line_index, bool score, bool plain)
{
    for (size_t r = 0; r < j->rows; r++) {
        float *to = j->values + r * j->width + line_index * FIGURES;
        const ln_result *result = &j->results[r];
        to[ACCURACY] = ln_answers_choice(j->answers, result->exit, r, NULL) == ln_answers_label(j->answers, r) ? 1.0f : 0.0f;
        to[EXIT] = (float)result->exit;
        to[MACS] = result->macs_share;
        to[TIME] = plain ? 1.0f : (float)ln_answers_time_share(j->answers, result->exit);
        if (score)
            j->values[r * j->width + j->width - 1] += to[ACCURACY];
    }
}

static ln_status judge_alphas(judgement *j, stretch *of, ln_error *err)
{
    uint32_t points = ln_model_point_count(j->model);
    ln_status st = LN_OK;

    for (uint32_t p = 0; p < points && st >= 0; p++) {
        ln_point_info info = LN_POINT_INFO_INIT;
        st = ln_point_get_info(j->model, p, &info, err);
        if (st < 0 || info.policy != LN_POLICY_GATE || info.moved)
            continue;
        st = ln_answers_replay_point(j->answers, p, j->results, NULL, err);
        if (st < 0)
            return st;
        of->lines[of->n_lines].at = info.alpha;
        note(j, of->n_lines++, false, false);
    }
    return st;
}

static ln_status judge_budgets(judgement *j, const sweep *w, stretch *of, ln_error *err)
{
    ln_status st = LN_OK;

    for (size_t b = 0; b < w->budgets.count && st >= 0; b++) {
        ln_target target = LN_TARGET_INIT;
        ln_setting setting = LN_SETTING_INIT;
        target.budget = w->budgets.value[b];
        target.cost = w->s->train.cost;
        if (ln_target_resolve(j->model, &target, &setting, NULL, err) < 0)
            st = ln_setting_get(j->model, LN_POLICY_GATE, ln_setting_count(j->model, LN_POLICY_GATE) - 1, &setting, err);
        if (st >= 0)
            st = ln_answers_replay(j->answers, LN_POLICY_GATE, setting.index, j->results, NULL, err);
        if (st < 0)
            return st;
        of->lines[of->n_lines].budget = true;
        of->lines[of->n_lines].at = target.budget;
        note(j, of->n_lines++, true, setting.index == 0);
    }
    for (size_t r = 0; r < j->rows; r++)
        j->values[r * j->width + j->width - 1] /= (float)w->budgets.count;
    return st;
}

static ln_status judge_size(judgement *j, sweep *w, stretch *of, ln_error *err)
{
    ln_answers_options options = LN_ANSWERS_OPTIONS_INIT;
    size_t most = ln_model_point_count(j->model) + w->budgets.count;
    ln_status st;

    options.threads = w->s->train.threads ? w->s->train.threads : all_threads();
    options.progress = progress_show;
    options.progress_payload = &w->p;
    st = ln_answers_collect(&j->answers, j->model, w->val, &options, err);
    progress_end(&w->p);
    if (st < 0)
        return st;
    j->rows = ln_answers_rows(j->answers);
    j->width = most * FIGURES + 1;
    j->results = tool_alloc(j->rows, sizeof *j->results);
    j->values = tool_alloc(j->rows * j->width, sizeof *j->values);
    of->lines = tool_alloc(most, sizeof *of->lines);
    st = judge_alphas(j, of, err);
    if (st >= 0)
        st = judge_budgets(j, w, of, err);
    if (st < 0)
        return st;
    estimate *all = tool_alloc(j->width, sizeof *all);
    bootstrap(all, j->values, j->rows, j->width, w->s->draws, w->s->train.seed);
    for (size_t i = 0; i < of->n_lines; i++)
        memcpy(of->lines[i].figure, all + i * FIGURES, sizeof of->lines[i].figure);
    of->score = all[j->width - 1];
    free(all);
    return LN_OK;
}

static int sweep_size(sweep *w, stretch *of)
{
    char *spec = part_of(w->s->train.data, of->percent);
    judgement j = { 0 };
    ln_data *data = NULL;
    ln_error err = { 0 };
    ln_status st = LN_OK;
    int code = load_model(&j.model, name, w->path, &w->p);

    if (code == TOOL_DONE)
        code = preprocess_apply(name, &w->s->train.preprocess, j.model);
    if (code == TOOL_DONE)
        code = load_data(&data, name, spec, w->s->train.class_map, w->s->train.skip_bad);
    if (code == TOOL_DONE) {
        of->train_rows = ln_data_rows(data);
        train_warn_of_shared(name, "--val", w->val, (const ln_data *const[]){ data }, 1);
        if (!w->s->train.quiet)
            fprintf(stderr, "training on %zu rows\n", of->train_rows);
        st = train_model(&w->s->train, j.model, data, &w->p, &err);
        if (st >= 0)
            st = judge_size(&j, w, of, &err);
        code = st < 0 ? report_error(name, st, &err) : TOOL_DONE;
    }
    free(spec);
    free(j.results);
    free(j.values);
    ln_answers_free(j.answers);
    ln_data_free(data);
    ln_model_free(j.model);
    return code;
}

/* ---- Printing -------------------------------------------------------------------------------------------- */

static void print_lines(const stretch *of, bool budget)
{
    table t;

    table_start(&t, budget ? "budget|accuracy|95 %|exit|95 %|multiply-adds|95 %|time|95 %" :
                             "alpha|accuracy|95 %|exit|95 %|multiply-adds|95 %|time|95 %");
    for (size_t i = 0; i < of->n_lines; i++) {
        const line *l = &of->lines[i];
        if (l->budget != budget)
            continue;
        table_cell(&t, budget ? "%.3g %%" : "%.4g", budget ? 100 * l->at : l->at);
        for (int f = 0; f < FIGURES; f++) {
            double scale = f == EXIT ? 1 : 100;
            table_cell(&t, f == EXIT ? "%.2f" : "%.1f %%", scale * l->figure[f].mean);
            table_cell(&t, f == EXIT ? "%.2f..%.2f" : "%.1f..%.1f", scale * l->figure[f].low, scale * l->figure[f].high);
        }
    }
    table_print(&t, stdout);
}

static void print_scaling(const sweep *w)
{
    table t;

    table_start(&t, "training set|rows|accuracy, mean over budgets|95 %");
    for (size_t i = 0; i < w->done; i++) {
        const stretch *of = &w->stretches[i];
        table_cell(&t, "%.3g %%", of->percent);
        table_cell(&t, "%zu", of->train_rows);
        table_cell(&t, "%.2f %%", 100 * of->score.mean);
        table_cell(&t, "%.2f..%.2f", 100 * of->score.low, 100 * of->score.high);
    }
    table_print(&t, stdout);
    printf("fitted: accuracy = %.2f + %.2f ln(rows), %%; explains %.0f %% of the variance; twice the rows: %+.2f points\n", 100 * w->scaling.a,
           100 * w->scaling.b, 100 * w->scaling.r2, 100 * w->scaling.b * log(2));
}

static void print_tables(const sweep *w)
{
    for (size_t i = 0; i < w->done; i++) {
        printf("trained on %zu rows\n\n", w->stretches[i].train_rows);
        print_lines(&w->stretches[i], false);
        printf("\n");
        print_lines(&w->stretches[i], true);
        printf("\n");
    }
    if (w->done > 1)
        print_scaling(w);
}

static const char *const figure_names[FIGURES] = { "accuracy", "exit", "macs_share", "time_share" };

static void print_json(const sweep *w)
{
    json j;

    for (size_t i = 0; i < w->done; i++) {
        const stretch *of = &w->stretches[i];
        for (size_t k = 0; k < of->n_lines; k++) {
            json_start(&j, stdout);
            json_whole(&j, "train_rows", of->train_rows);
            json_real(&j, of->lines[k].budget ? "budget" : "alpha", of->lines[k].at);
            for (int f = 0; f < FIGURES; f++)
                json_estimate(&j, figure_names[f], &of->lines[k].figure[f]);
            json_finish(&j);
        }
        json_start(&j, stdout);
        json_whole(&j, "train_rows", of->train_rows);
        json_estimate(&j, "score", &of->score);
        json_finish(&j);
    }
    if (w->done < 2)
        return;
    json_start(&j, stdout);
    json_open(&j, "scaling", '{');
    json_real(&j, "a", w->scaling.a);
    json_real(&j, "b", w->scaling.b);
    json_real(&j, "r2", w->scaling.r2);
    json_close(&j, '}');
    json_finish(&j);
}

static void write_csv(const void *of, FILE *to)
{
    const sweep *w = of;

    fputs("train_rows,swept,at", to);
    for (int f = 0; f < FIGURES; f++)
        fprintf(to, ",%s,%s_low,%s_high", figure_names[f], figure_names[f], figure_names[f]);
    putc('\n', to);
    for (size_t i = 0; i < w->done; i++) {
        const stretch *of = &w->stretches[i];
        for (size_t k = 0; k < of->n_lines; k++) {
            fprintf(to, "%zu,%s,%.6g", of->train_rows, of->lines[k].budget ? "budget" : "alpha", of->lines[k].at);
            for (int f = 0; f < FIGURES; f++)
                fprintf(to, ",%.6g,%.6g,%.6g", of->lines[k].figure[f].mean, of->lines[k].figure[f].low, of->lines[k].figure[f].high);
            putc('\n', to);
        }
        fprintf(to, "%zu,score,,%.6g,%.6g,%.6g,,,,,,,,,\n", of->train_rows, of->score.mean, of->score.low, of->score.high);
    }
}

static void draw_curves(const sweep *w, FILE *to)
{
    bool macs = w->s->train.cost == LN_COST_MACS;

    fprintf(to, "set xlabel '%s, %% of the plain network'\nset ylabel 'accuracy, %%'\n", macs ? "multiply-adds" : "time");
    for (size_t i = 0; i < w->done; i++) {
        fprintf(to, "$size%zu << EOD\n", i);
        for (size_t k = 0; k < w->stretches[i].n_lines; k++) {
            const line *l = &w->stretches[i].lines[k];
            if (l->budget)
                fprintf(to, "%.6g,%.6g,%.6g,%.6g\n", 100 * l->figure[macs ? MACS : TIME].mean, 100 * l->figure[ACCURACY].mean,
                        100 * l->figure[ACCURACY].low, 100 * l->figure[ACCURACY].high);
        }
        fputs("EOD\n", to);
    }
    fputs("plot ", to);
    for (size_t i = 0; i < w->done; i++)
        fprintf(to, "%s$size%zu using 1:2:3:4 with yerrorlines lw 1.5 pt 7 ps 0.5 title '%zu rows'", i ? ", " : "", i, w->stretches[i].train_rows);
    putc('\n', to);
}

static void draw_scaling(const sweep *w, FILE *to)
{
    fputs("$score << EOD\n", to);
    for (size_t i = 0; i < w->done; i++)
        fprintf(to, "%zu,%.6g,%.6g,%.6g\n", w->stretches[i].train_rows, 100 * w->stretches[i].score.mean, 100 * w->stretches[i].score.low,
                100 * w->stretches[i].score.high);
    fprintf(to, "EOD\nset logscale x\nset xlabel 'rows of training'\nset ylabel 'accuracy, mean over budgets, %%'\n"
            "plot $score using 1:2:3:4 with yerrorbars pt 7 ps 0.6 title 'measured', %.9g + %.9g * log(x) with lines dt 2 title 'a + b ln(rows)'\n",
            100 * w->scaling.a, 100 * w->scaling.b);
}

static void draw(const void *of, FILE *to)
{
    const sweep *w = of;

    if (w->done > 1)
        fputs("set multiplot layout 1,2\n", to);
    draw_curves(w, to);
    if (w->done > 1)
        draw_scaling(w, to);
}

/* ---- The command ------------------------------------------------------------------------------------------- */

static void fit_scaling(sweep *w)
{
    double *x = tool_alloc(2 * w->done, sizeof *x), *y = x + w->done;

    for (size_t i = 0; i < w->done; i++) {
        x[i] = (double)w->stretches[i].train_rows;
        y[i] = w->stretches[i].score.mean;
    }
    w->scaling = fit_log_line(x, y, w->done);
    free(x);
}

/* Hours may stand behind what is finished, so a size that fails takes nothing with it. */
static int sweep_sizes(sweep *w)
{
    int code = TOOL_DONE;

    w->stretches = tool_alloc(w->sizes.count, sizeof *w->stretches);
    for (size_t i = 0; i < w->sizes.count && code != TOOL_STOPPED; i++) {
        stretch *of = &w->stretches[w->done];
        of->percent = floor(w->sizes.value[i] + 0.5);
        int ended = sweep_size(w, of);
        if (ended == TOOL_DONE) {
            w->done++;
            continue;
        }
        fprintf(stderr, "leenet %s: nothing comes of %.0f %% of the rows\n", name, of->percent);
        free(of->lines);
        *of = (stretch){ 0 };
        code = ended;
    }
    return code;
}

static int run(sweep *w)
{
    const settings *s = w->s;
    int code;

    if (budgets_read(&w->budgets, name, s->budgets) != TOOL_DONE)
        return TOOL_USAGE;
    if (!list_read(&w->sizes, s->sizes ? s->sizes : "100", 1, 100, MOST_SIZES))
        return cli_wrong(name, "--sizes: '%s' is neither a list of per cents from 1 to 100 (10,20,40,70,100) nor FROM:TO:COUNT with COUNT from 2 to %d", s->sizes, MOST_SIZES);
    w->figures = (figures){ name, s->output, s->csv, { w->path, s->train.data, s->train.val, s->train.class_map }, write_csv, draw, w };
    code = figures_check(&w->figures);
    if (code == TOOL_DONE)
        code = load_data(&w->val, name, s->train.val, s->train.class_map, s->train.skip_bad);
    if (code == TOOL_DONE)
        code = sweep_sizes(w);
    if (w->done == 0)
        return code;
    print_skipped(name, w->val);
    fit_scaling(w);
    if (s->json)
        print_json(w);
    else
        print_tables(w);
    int written = figures_save(&w->figures);
    return code == TOOL_DONE ? written : code;
}

int cmd_sweep(int argc, char **argv)
{
    settings s = { .draws = 1000 };
    sweep w = { .s = &s };
    int code;

    train_start(&s.train);
    code = parse(&s, &argc, argv);
    if (code == CLI_GO) {
        w.path = argv[0];
        progress_start(&w.p, s.train.quiet);
        interrupt_catch();
        code = finish_output(name, run(&w));
    }
    for (size_t i = 0; w.stretches && i < w.sizes.count; i++)
        free(w.stretches[i].lines);
    free(w.stretches);
    free(w.budgets.value);
    free(w.sizes.value);
    ln_data_free(w.val);
    train_settings_free(&s.train);
    return code;
}
