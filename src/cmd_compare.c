/* cmd_compare.c - leenet compare: every policy the model has, on the same rows, over budgets. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "stats.h"

static const char name[] = "compare";

enum { MOST_POLICIES = LN_POLICY_ORACLE };

typedef struct settings {
    const char      *data, *class_map, *policies, *budgets, *output, *csv;
    int              cost;
    uint32_t         draws, threads;
    uint64_t         seed;
    bool             skip_bad, expected, json, quiet;
    preprocess_flags preprocess;
} settings;

/* One setting, or two that are mixed: `share` of the rows at `setting`, the others at `other`. `within`: the policy has
 * settings that keep the budget; else this is its cheapest. */
typedef struct trial { uint32_t setting, other; double share; bool within; ln_evaluation found; } trial;

typedef struct comparison {
    const settings *s;
    ln_model   *model;
    ln_data    *data;
    ln_answers *answers;
    cli_list    budgets;
    int32_t     policy[MOST_POLICIES];
    size_t      n_policies;     /* the first is the gate if it is among them */
    size_t      rows;
    trial      *trials;         /* [policies][budgets] */
    float      *values;         /* [rows][policies][budgets + 1] first policy's being right minus this one's; last: mean
                                   over the budgets that both keep */
    estimate   *gain;           /* [policies][budgets + 1] of these */
    ln_evaluation oracle;
    figures     figures;
} comparison;

static int parse(settings *s, int *argc, char **argv)
{
    const cli_option options[] = {
        { CLI_HEADING, 0, NULL, NULL, NULL, 0, 0, "Data" },
        { CLI_TEXT, 0, "--data", "SPEC", &s->data, 0, 0,
          "labelled pictures that nothing was trained, calibrated or chosen on (required)" },
        JUDGED_OPTIONS(s),
        { CLI_HEADING, 0, NULL, NULL, NULL, 0, 0, "What is compared" },
        { CLI_TEXT, 0, "--policies", "A,B...", &s->policies, 0, 0,
          "the first is compared with the others (default: all the model has settings of, gate first)" },
        BUDGETS_OPTION(s->budgets),
        { CLI_CHOICE, 0, "--cost", "time|params|macs", &s->cost, 0, 0, "what budgets speak of (default: time)" },
        { CLI_FLAG, 0, "--expected", NULL, &s->expected, 0, 0,
          "at each budget the setting that the rows of training expect to be the most accurate within it, as --budget "
          "uses it, whatever it spends here (default: exactly the budget)" },
        { CLI_COUNT, 0, "--draws", "N", &s->draws, 100, 100000, "bootstrap draws (default: 1000)" },
        { CLI_WHOLE, 0, "--seed", "N", &s->seed, 0, 0, "of the bootstrap (default: 0)" },
        { CLI_COUNT, 0, "--threads", "N", &s->threads, 1, 1024, "threads (default: 1)" },
        PREPROCESS_OPTIONS(s->preprocess),
        FIGURES_OPTIONS(s, s->quiet),
        CLI_END
    };
    const cli c = { name, "MODEL --data SPEC [options]",
                    "Runs the rows once through all exits and replays every policy on what they said: how often "
                    "it is right at each budget, and the difference to the first policy with its paired 95 % "
                    "bootstrap interval. Every policy spends exactly the budget: the two settings whose cost on "
                    "these rows encloses it, mixed, which needs no labels.",
                    options, "one MODEL", 1, 1 };
    int code = cli_parse(&c, argc, argv);

    if (code == CLI_GO && !s->data)
        return cli_wrong(name, "--data SPEC is required");
    if (code == CLI_GO && s->output && plot_check(name, s->output) != TOOL_DONE)
        return TOOL_USAGE;
    return code;
}

static double cost_of(const comparison *c, const ln_evaluation *e)
{
    return c->s->cost == LN_COST_PARAMS ? e->params_share : c->s->cost == LN_COST_MACS ? e->macs_share : e->time_share;
}

static trial *trial_of(const comparison *c, size_t policy, size_t budget)
{
    return &c->trials[policy * c->budgets.count + budget];
}

/* Whether first and this one can be compared there. */
static bool both_keep(const comparison *c, size_t policy, size_t budget)
{
    return trial_of(c, 0, budget)->within && trial_of(c, policy, budget)->within;
}

static size_t compared(const comparison *c, size_t policy)
{
    size_t n = 0;

    for (size_t b = 0; b < c->budgets.count; b++)
        n += both_keep(c, policy, b);
    return n;
}

/* ---- What is asked for -------------------------------------------------------------------------- */

static int check_policies(comparison *c)
{
    if (!c->s->policies)
        for (int32_t p = 0; p < MOST_POLICIES; p++)
            if (ln_setting_count(c->model, p) > 0)
                c->policy[c->n_policies++] = p;
    for (size_t i = 0; i < c->n_policies; i++)
        if (ln_setting_count(c->model, c->policy[i]) == 0) {
            fprintf(stderr, "leenet %s: the model has no settings of policy '%s'; train it with leenet train --policies\n", name,
                    ln_policy_name(c->policy[i]));
            return TOOL_FAILED;
        }
    if (c->n_policies > 0)
        return TOOL_DONE;
    fprintf(stderr, "leenet %s: the model has no settings of any policy; leenet train makes them\n", name);
    return TOOL_FAILED;
}

/* ---- Replaying ------------------------------------------------------------------------------------ */

/* Where nothing is expected within the budget, the cheapest setting there is. */
static void choose_expected(const comparison *c, int32_t policy, double budget, trial *t)
{
    ln_target target = LN_TARGET_INIT;
    ln_setting setting = LN_SETTING_INIT;

    target.policy = policy;
    target.budget = budget;
    target.cost = c->s->cost;
    t->share = 1;
    t->within = ln_target_resolve(c->model, &target, &setting, NULL, NULL) >= 0;
    if (t->within)
        t->setting = t->other = setting.index;
    else
        t->setting = t->other = ln_setting_count(c->model, policy) - 1;
}

/* Costs need no labels, so settings may be chosen by what they cost on the rows that are judged. `cost` [settings]. */
static void choose_equal(const double *cost, uint32_t count, double budget, trial *t)
{
    uint32_t below = count, above = count, least = 0;

    for (uint32_t i = 0; i < count; i++) {
        least = cost[i] < cost[least] ? i : least;
        if (cost[i] <= budget && (below == count || cost[i] > cost[below]))
            below = i;
        if (cost[i] > budget && (above == count || cost[i] < cost[above]))
            above = i;
    }
    t->within = below < count;
    t->setting = t->within ? below : least;
    t->other = above < count && t->within ? above : t->setting;
    t->share = t->other == t->setting ? 1 : (cost[t->other] - budget) / (cost[t->other] - cost[t->setting]);
}

static ln_status measure_costs(const comparison *c, int32_t policy, double *cost, ln_error *err)
{
    ln_status st = LN_OK;

    for (uint32_t i = 0; i < ln_setting_count(c->model, policy) && st >= 0; i++) {
        ln_evaluation e = LN_EVALUATION_INIT;
        st = ln_answers_replay(c->answers, policy, i, NULL, &e, err);
        cost[i] = cost_of(c, &e);
    }
    return st;
}

static bool is_right(const comparison *c, int32_t policy, const ln_result *result, size_t row)
{
    return given_answer(c->answers, c->model, policy, result, row, NULL) == ln_answers_label(c->answers, row);
}

static void add_share(ln_evaluation *to, const ln_evaluation *e, double share)
{
    to->rows = e->rows;
    to->plain_accuracy = e->plain_accuracy;
    to->accuracy += share * e->accuracy;
    to->params_share += share * e->params_share;
    to->macs_share += share * e->macs_share;
    to->time_share += share * e->time_share;
}

static ln_status try_setting(comparison *c, size_t p, size_t b, uint32_t setting, double share, ln_result *results, ln_error *err)
{
    size_t width = c->n_policies * (c->budgets.count + 1);
    float *values = c->values + p * (c->budgets.count + 1) + b;
    ln_evaluation e = LN_EVALUATION_INIT;
    ln_status st;

    if (share <= 0)
        return LN_OK;
    st = ln_answers_replay(c->answers, c->policy[p], setting, results, &e, err);
    if (st < 0)
        return st;
    add_share(&trial_of(c, p, b)->found, &e, share);
    for (size_t r = 0; r < c->rows; r++)
        values[r * width] += is_right(c, c->policy[p], &results[r], r) ? (float)share : 0.0f;
    return LN_OK;
}

static ln_status try_policy(comparison *c, size_t p, ln_result *results, ln_error *err)
{
    uint32_t count = ln_setting_count(c->model, c->policy[p]);
    double *cost = tool_alloc(count, sizeof *cost);
    ln_status st = c->s->expected ? LN_OK : measure_costs(c, c->policy[p], cost, err);

    for (size_t b = 0; b < c->budgets.count && st >= 0; b++) {
        trial *t = trial_of(c, p, b);
        if (c->s->expected)
            choose_expected(c, c->policy[p], c->budgets.value[b], t);
        else
            choose_equal(cost, count, c->budgets.value[b], t);
        st = try_setting(c, p, b, t->setting, t->share, results, err);
        if (st >= 0)
            st = try_setting(c, p, b, t->other, 1 - t->share, results, err);
    }
    free(cost);
    return st;
}

/* From being right to differences, and their mean over budgets. */
static void subtract(comparison *c)
{
    size_t step = c->budgets.count + 1, width = c->n_policies * step, n[MOST_POLICIES];

    for (size_t p = 0; p < c->n_policies; p++)
        n[p] = compared(c, p);
    for (size_t r = 0; r < c->rows; r++) {
        float *first = c->values + r * width;
        for (size_t p = c->n_policies; p-- > 0;) {
            float *own = first + p * step, sum = 0;
            for (size_t b = 0; b < c->budgets.count; b++) {
                own[b] = p ? first[b] - own[b] : own[b];
                sum += both_keep(c, p, b) ? own[b] : 0.0f;
            }
            own[c->budgets.count] = n[p] ? sum / (float)n[p] : 0.0f;
        }
    }
}

static ln_status replay_all(comparison *c, ln_error *err)
{
    size_t width = c->n_policies * (c->budgets.count + 1);
    ln_result *results = tool_alloc(c->rows, sizeof *results);
    ln_status st = LN_OK;

    c->trials = tool_alloc(c->n_policies * c->budgets.count, sizeof *c->trials);
    c->values = tool_alloc(c->rows * width, sizeof *c->values);
    c->gain = tool_alloc(width, sizeof *c->gain);
    for (size_t p = 0; p < c->n_policies && st >= 0; p++)
        st = try_policy(c, p, results, err);
    free(results);
    c->oracle = (ln_evaluation)LN_EVALUATION_INIT;
    if (st >= 0)
        st = ln_answers_replay(c->answers, LN_POLICY_ORACLE, 0, NULL, &c->oracle, err);
    if (st < 0)
        return st;
    subtract(c);
    bootstrap(c->gain, c->values, c->rows, width, c->s->draws, c->s->seed);
    return LN_OK;
}

static const estimate *gain_of(const comparison *c, size_t policy, size_t budget)
{
    return &c->gain[policy * (c->budgets.count + 1) + budget];
}

/* ---- Printing ---------------------------------------------------------------------------------------- */

static void print_accuracies(const comparison *c)
{
    char heads[512];
    size_t n = (size_t)snprintf(heads, sizeof heads, "budget");
    table t;

    for (size_t p = 0; p < c->n_policies; p++)
        n += (size_t)snprintf(heads + n, sizeof heads - n, "|%s|at", ln_policy_name(c->policy[p]));
    table_start(&t, heads);
    for (size_t b = 0; b < c->budgets.count; b++) {
        table_cell(&t, "%.3g %%", 100 * c->budgets.value[b]);
        for (size_t p = 0; p < c->n_policies; p++) {
            const trial *at = trial_of(c, p, b);
            at->within ? table_cell(&t, "%.2f", 100 * at->found.accuracy) : table_cell(&t, "%s", "too dear");
            table_cell(&t, "%.1f", 100 * cost_of(c, &at->found));
        }
    }
    table_print(&t, stdout);
}

static void print_gains(const comparison *c)
{
    table t;

    table_start(&t, "<policy|budgets compared|mean over them|95 % interval|won|lost|largest loss");
    for (size_t p = 1; p < c->n_policies; p++) {
        const estimate *mean = gain_of(c, p, c->budgets.count);
        size_t won = 0, lost = 0, worst = c->budgets.count;
        for (size_t b = 0; b < c->budgets.count; b++) {
            if (!both_keep(c, p, b))
                continue;
            won += gain_of(c, p, b)->low > 0;
            lost += gain_of(c, p, b)->high < 0;
            worst = worst == c->budgets.count || gain_of(c, p, b)->mean < gain_of(c, p, worst)->mean ? b : worst;
        }
        table_cell(&t, "%s", ln_policy_name(c->policy[p]));
        table_cell(&t, "%zu of %zu", compared(c, p), c->budgets.count);
        if (worst == c->budgets.count) {
            for (int i = 0; i < 5; i++)
                table_cell(&t, "-");
            continue;
        }
        const estimate *least = gain_of(c, p, worst);
        table_cell(&t, "%+.2f", 100 * mean->mean);
        table_cell(&t, "%+.2f..%+.2f", 100 * mean->low, 100 * mean->high);
        table_cell(&t, "%zu", won);
        table_cell(&t, "%zu", lost);
        table_cell(&t, "%+.2f (%+.2f..%+.2f) at %.3g %%", 100 * least->mean, 100 * least->low, 100 * least->high, 100 * c->budgets.value[worst]);
    }
    table_print(&t, stdout);
}

static void print_tables(const comparison *c)
{
    const ln_evaluation *plain = &c->oracle;

    printf("%zu rows; plain network %.2f %%, oracle %.2f %% at %.1f %% of its %s\n\naccuracy in %% at what was really spent, %% of the %s\n",
           c->rows, 100 * plain->plain_accuracy, 100 * c->oracle.accuracy, 100 * cost_of(c, &c->oracle), cost_name(c->s->cost), cost_name(c->s->cost));
    print_accuracies(c);
    if (c->n_policies < 2)
        return;
    printf("\n%s minus the others, in points, over the budgets that both have settings for; won and lost: budgets whose interval lies wholly on one side of 0\n", ln_policy_name(c->policy[0]));
    print_gains(c);
}

static void print_json(const comparison *c)
{
    json j;

    json_start(&j, stdout);
    json_text(&j, "policy", "oracle");
    json_whole(&j, "rows", c->rows);
    json_real(&j, "accuracy", c->oracle.accuracy);
    json_real(&j, "plain_accuracy", c->oracle.plain_accuracy);
    json_real(&j, "params_share", c->oracle.params_share);
    json_real(&j, "macs_share", c->oracle.macs_share);
    json_real(&j, "time_share", c->oracle.time_share);
    json_finish(&j);
    for (size_t p = 0; p < c->n_policies; p++)
        for (size_t b = 0; b <= c->budgets.count; b++) {
            json_start(&j, stdout);
            json_text(&j, "policy", ln_policy_name(c->policy[p]));
            json_real(&j, "budget", b < c->budgets.count ? c->budgets.value[b] : NAN);
            if (b < c->budgets.count) {
                const trial *t = trial_of(c, p, b);
                json_text(&j, "cost", cost_name(c->s->cost));
                json_whole(&j, "setting", t->setting);
                json_real(&j, "share", t->share);
                json_whole(&j, "other", t->other);
                json_bool(&j, "within", t->within);
                json_real(&j, "accuracy", t->found.accuracy);
                json_real(&j, "params_share", t->found.params_share);
                json_real(&j, "macs_share", t->found.macs_share);
                json_real(&j, "time_share", t->found.time_share);
            }
            else
                json_whole(&j, "budgets", compared(c, p));
            if (p && (b < c->budgets.count ? both_keep(c, p, b) : compared(c, p) > 0))
                json_estimate(&j, "first_minus_this", gain_of(c, p, b));
            json_finish(&j);
        }
}

static void write_csv(const void *of, FILE *to)
{
    const comparison *c = of;

    fputs("policy,budget,setting,accuracy,params_share,macs_share,time_share,within,difference,low,high,share,other\n", to);
    for (size_t p = 0; p < c->n_policies; p++)
        for (size_t b = 0; b < c->budgets.count; b++) {
            const trial *t = trial_of(c, p, b);
            const estimate *e = gain_of(c, p, b);
            fprintf(to, "%s,%.6g,%u,%.6g,%.6g,%.6g,%.6g,%d", ln_policy_name(c->policy[p]), c->budgets.value[b], t->setting, t->found.accuracy,
                    t->found.params_share, t->found.macs_share, t->found.time_share, t->within);
            fprintf(to, p && both_keep(c, p, b) ? ",%.6g,%.6g,%.6g" : ",,,", e->mean, e->low, e->high);
            fprintf(to, ",%.6g,%u\n", t->share, t->other);
        }
}

static void draw(const void *of, FILE *to)
{
    const comparison *c = of;

    fprintf(to, "set xlabel '%s, %% of the plain network'\nset ylabel 'accuracy, %%'\n", c->s->cost == LN_COST_MACS ? "multiply-adds" : cost_name(c->s->cost));
    for (size_t p = 0; p < c->n_policies; p++) {
        fprintf(to, "$policy%zu << EOD\n", p);
        for (size_t b = 0; b < c->budgets.count; b++)
            fprintf(to, "%.6g,%.6g\n", 100 * cost_of(c, &trial_of(c, p, b)->found), 100 * trial_of(c, p, b)->found.accuracy);
        fputs("EOD\n", to);
    }
    fprintf(to, "$oracle << EOD\n%.6g,%.6g\nEOD\nplot %.6g with lines dt 2 lc rgb '#747f8d' title 'plain network', ", 100 * cost_of(c, &c->oracle),
            100 * c->oracle.accuracy, 100 * c->oracle.plain_accuracy);
    for (size_t p = 0; p < c->n_policies; p++)
        fprintf(to, "$policy%zu using 1:2 with linespoints lw %d pt 7 ps %s lt %zu title '%s', ", p, p ? 1 : 3, p ? "0.4" : "0.6", p + 1, ln_policy_name(c->policy[p]));
    fputs("$oracle using 1:2 with points pt 3 lc rgb '#14181f' title 'oracle'\n", to);
}

/* ---- The command ------------------------------------------------------------------------------------- */

static int compare(comparison *c, progress *p)
{
    ln_answers_options options = LN_ANSWERS_OPTIONS_INIT;
    ln_error err = { 0 };
    ln_status st;

    options.threads = c->s->threads;
    options.progress = progress_show;
    options.progress_payload = p;
    st = ln_answers_collect(&c->answers, c->model, c->data, &options, &err);
    progress_end(p);
    print_skipped(name, c->data);
    if (st >= 0) {
        c->rows = ln_answers_rows(c->answers);
        st = replay_all(c, &err);
    }
    if (st < 0)
        return report_error(name, st, &err);
    if (c->s->json)
        print_json(c);
    else
        print_tables(c);
    return figures_save(&c->figures);
}

static int run(comparison *c, const char *path, progress *p)
{
    const settings *s = c->s;
    int code = s->policies ? policies_read(c->policy, &c->n_policies, name, s->policies) : TOOL_DONE;

    if (code == TOOL_DONE)
        code = budgets_read(&c->budgets, name, s->budgets);
    c->figures = (figures){ name, s->output, s->csv, { path, s->data, s->class_map }, write_csv, draw, c };
    if (code == TOOL_DONE)
        code = figures_check(&c->figures);
    if (code == TOOL_DONE)
        code = load_model(&c->model, name, path, p);
    if (code == TOOL_DONE)
        code = preprocess_apply(name, &s->preprocess, c->model);
    if (code == TOOL_DONE)
        code = check_policies(c);
    if (code == TOOL_DONE)
        code = load_data(&c->data, name, s->data, s->class_map, s->skip_bad);
    return code == TOOL_DONE ? compare(c, p) : code;
}

int cmd_compare(int argc, char **argv)
{
    settings s = { .draws = 1000, .threads = 1, .preprocess = PREPROCESS_FLAGS_INIT };
    comparison c = { .s = &s };
    progress p;
    int code = parse(&s, &argc, argv);

    if (code != CLI_GO)
        return code;
    progress_start(&p, s.quiet);
    interrupt_catch();
    code = run(&c, argv[0], &p);
    free(c.budgets.value);
    free(c.trials);
    free(c.values);
    free(c.gain);
    ln_answers_free(c.answers);
    ln_data_free(c.data);
    ln_model_free(c.model);
    return finish_output(name, code);
}
