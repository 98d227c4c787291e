/* crossfold.c - what models lose within budgets of time, each judged on the rows it was not trained on.
 *
 *     build/bench/crossfold [-p POLICY,POLICY...] [-s SEEDS] MODEL DATA [MODEL DATA]...
 *
 * MODEL is what `leenet train` made without the rows of DATA (of a cross-validation: MODEL of :not=K/5, DATA :part=K/5). With -s
 * the list names the same DATA in the same order SEEDS times, with the models of one seed each time: a row's outcomes are
 * averaged over them, and it is drawn with all of them.
 * Every row is run through all exits once and each policy's settings are replayed. Prints in Markdown, with 95 % bootstrap
 * intervals over all rows:
 *   - loss against the plain network where exactly the budget is spent: the two settings of a model whose time encloses it,
 *     mixed; and at the setting that the model's `--budget` leads to, with the time it takes;
 *   - the same at the operating point that the rows of training put nearest below half of the time;
 *   - the first policy minus each of the others at 20 budgets, 5 % to 100 %, those left out that no setting keeps, both ways. */
#include "paired.h"

#include <stdbool.h>
#include <string.h>

enum { GRID = 20, MOST_POLICIES = 16 };
static const int named[] = { 9, 6, 4 };     /* budgets of the grid: 50, 35, 25 % */

/* Of one policy, over the rows of all models, for each budget of the grid. */
typedef struct record {
    double *spent[GRID];        /* [rows] 1 where right, at exactly the budget */
    double *asked[GRID];        /* at the setting asked for */
    double  time[GRID];         /* it takes, summed over rows */
    bool    lacks[GRID];        /* no setting keeps it */
} record;

/* At the points whose expected time is nearest below half. */
typedef struct half_record { double *right, expected, time; bool lacks; } half_record;   /* times summed over rows */

static size_t rows_seen;
static double *plain_right;
static half_record half;
static record records[MOST_POLICIES];

static void grow(double **column, size_t rows)
{
    *column = need(realloc(*column, rows * sizeof **column));
}

/* ---- One model on its rows --------------------------------------------------------------- */

typedef struct replayed { uint32_t settings; double *cost, *right; } replayed;    /* right: [settings][rows] */

static replayed replay(const ln_answers *answers, const ln_model *model, int32_t policy)
{
    size_t rows = ln_answers_rows(answers);
    replayed out = { ln_setting_count(model, policy), NULL, NULL };
    ln_result *results = need(malloc(rows * sizeof *results));

    out.cost = need(malloc(out.settings * sizeof *out.cost));
    out.right = need(malloc(out.settings * rows * sizeof *out.right));
    for (uint32_t s = 0; s < out.settings; s++) {
        ln_evaluation sum = LN_EVALUATION_INIT;
        must(ln_answers_replay(answers, policy, s, results, &sum, &err));
        out.cost[s] = sum.time_share;
        for (size_t r = 0; r < rows; r++)
            out.right[s * rows + r] = results[r].label == ln_answers_label(answers, r);
    }
    free(results);
    return out;
}

/* False if no setting keeps the budget. */
static bool spend(const replayed *p, size_t rows, double budget, double *right)
{
    uint32_t s = 0;

    while (s < p->settings && p->cost[s] > budget)
        s++;
    if (s == p->settings)
        return false;
    double above = s > 0 && p->cost[s - 1] > p->cost[s] ? (budget - p->cost[s]) / (p->cost[s - 1] - p->cost[s]) : 0.0;
    for (size_t r = 0; r < rows; r++)
        right[r] = (1 - above) * p->right[s * rows + r] + (above > 0 ? above * p->right[(s - 1) * rows + r] : 0.0);
    return true;
}

static void judge_policy(record *to, const ln_answers *answers, const ln_model *model, int32_t policy)
{
    size_t rows = ln_answers_rows(answers);
    replayed all = replay(answers, model, policy);

    for (int b = 0; b < GRID; b++) {
        ln_target target = LN_TARGET_INIT;
        ln_setting setting = LN_SETTING_INIT;

        grow(&to->spent[b], rows_seen + rows);
        grow(&to->asked[b], rows_seen + rows);
        target.policy = policy;
        target.budget = (b + 1.0) / GRID;
        ln_status st = ln_target_resolve(model, &target, &setting, NULL, &err);
        if (st == LN_E_ARGUMENT || !spend(&all, rows, target.budget, to->spent[b] + rows_seen)) {
            to->lacks[b] = true;
            continue;
        }
        must(st);
        memcpy(to->asked[b] + rows_seen, all.right + setting.index * rows, rows * sizeof(double));
        to->time[b] += all.cost[setting.index] * (double)rows;
    }
    free(all.cost);
    free(all.right);
}

/* Points that were trained; those of other policies hold thresholds of settings alone. */
static void judge_half(const ln_answers *answers, const ln_model *model)
{
    size_t rows = ln_answers_rows(answers);
    uint32_t points = ln_model_point_count(model), nearest = points;
    double expected = 0;

    for (uint32_t p = 0; p < points; p++) {
        ln_point_info info = LN_POINT_INFO_INIT;

        must(ln_point_get_info(model, p, &info, &err));
        if (info.policy == LN_POLICY_GATE && info.time_share < 0.5 && info.time_share > expected) {
            nearest = p;
            expected = info.time_share;
        }
    }
    grow(&half.right, rows_seen + rows);
    half.lacks = half.lacks || nearest == points;
    if (nearest == points)
        return;
    ln_evaluation sum = LN_EVALUATION_INIT;
    ln_result *results = need(malloc(rows * sizeof *results));
    must(ln_answers_replay_point(answers, nearest, results, &sum, &err));
    for (size_t r = 0; r < rows; r++)
        half.right[rows_seen + r] = results[r].label == ln_answers_label(answers, r);
    half.expected += expected * (double)rows;
    half.time += sum.time_share * (double)rows;
    free(results);
}

static void judge(const char *path, const char *spec, const int32_t *policy, int policies)
{
    ln_answers_options options = LN_ANSWERS_OPTIONS_INIT;
    ln_answers *answers;
    ln_model *model;
    ln_data *data;

    must(ln_model_load(&model, path, NULL, &err));
    must(ln_data_open(&data, spec, NULL, &err));
    options.threads = 2;
    must(ln_answers_collect(&answers, model, data, &options, &err));
    size_t rows = ln_answers_rows(answers);
    uint32_t end = ln_model_exit_count(model);
    for (int p = 0; p < policies; p++)
        if (!ln_setting_count(model, policy[p])) {
            fprintf(stderr, "crossfold: %s: no settings of policy '%s'; 'leenet train --policies all' makes them\n", path, ln_policy_name(policy[p]));
            exit(1);
        }
    for (int p = 0; p < policies; p++)
        judge_policy(&records[p], answers, model, policy[p]);
    judge_half(answers, model);
    grow(&plain_right, rows_seen + rows);
    for (size_t r = 0; r < rows; r++)
        plain_right[rows_seen + r] = ln_answers_choice(answers, end, r, NULL) == ln_answers_label(answers, r);
    rows_seen += rows;
    ln_answers_free(answers);
    ln_data_free(data);
    ln_model_free(model);
}

static void average(double *column, size_t rows, int seeds)
{
    for (size_t r = 0; r < rows; r++) {
        double sum = 0;

        for (int s = 0; s < seeds; s++)
            sum += column[(size_t)s * rows + r];
        column[r] = sum / seeds;
    }
}

static void average_seeds(int policies, int seeds)
{
    size_t rows = rows_seen / (size_t)seeds;

    average(plain_right, rows, seeds);
    average(half.right, rows, seeds);
    half.expected /= seeds;
    half.time /= seeds;
    for (int p = 0; p < policies; p++)
        for (int b = 0; b < GRID; b++) {
            average(records[p].spent[b], rows, seeds);
            average(records[p].asked[b], rows, seeds);
            records[p].time[b] /= seeds;
        }
    rows_seen = rows;
}

/* ---- Figures -------------------------------------------------------------------------------- */

static interval difference(const double *a, const double *b)
{
    return paired_difference(a, b, rows_seen);
}

static void print_losses(const int32_t *policy, int policies)
{
    printf("| policy | budget | loss, all of it spent (95 %%) | loss, as asked (95 %%) | time, as asked |\n|---|---:|---:|---:|---:|\n");
    for (int p = 0; p < policies; p++)
        for (size_t i = 0; i < sizeof named / sizeof *named; i++) {
            const record *r = &records[p];
            int b = named[i];

            printf("| %s | %.2f | ", ln_policy_name(policy[p]), (b + 1.0) / GRID);
            if (r->lacks[b]) {
                printf("cannot be kept | | |\n");
                continue;
            }
            interval spent = difference(plain_right, r->spent[b]), asked = difference(plain_right, r->asked[b]);
            printf("%.2f (%.2f..%.2f) | %.2f (%.2f..%.2f) | %.3f |\n", spent.mean, spent.low, spent.high, asked.mean, asked.low, asked.high,
                   r->time[b] / (double)rows_seen);
        }
}

static void print_half(void)
{
    if (half.lacks) {
        printf("\nA model has no operating point below half of the time.\n");
        return;
    }
    interval loss = difference(plain_right, half.right);
    printf("\nOperating point expected nearest below half of the time: expected %.3f, time %.3f, loss %.2f (%.2f..%.2f)\n",
           half.expected / (double)rows_seen, half.time / (double)rows_seen, loss.mean, loss.low, loss.high);
}

/* The first policy minus policy p, from what each gives at every budget of the grid. */
static void print_difference(const char *name, double *const *first, double *const *other, const bool *lacks, const bool *other_lacks)
{
    double *mean[2] = { need(calloc(rows_seen, sizeof(double))), need(calloc(rows_seen, sizeof(double))) };
    interval least = { 1e9, 0, 0 };
    int won = 0, lost = 0, counted = 0, at = 0;

    for (int b = 0; b < GRID; b++)
        counted += !lacks[b] && !other_lacks[b];
    for (int b = 0; b < GRID; b++) {
        if (lacks[b] || other_lacks[b])
            continue;
        interval d = difference(first[b], other[b]);
        won += d.low > 0;
        lost += d.high < 0;
        if (d.mean < least.mean) {
            least = d;
            at = b;
        }
        for (size_t r = 0; r < rows_seen; r++) {
            mean[0][r] += first[b][r] / counted;
            mean[1][r] += other[b][r] / counted;
        }
    }
    interval m = difference(mean[0], mean[1]);
    if (counted == 0)
        printf("| %s | no budget that both keep | | | |\n", name);
    else
        printf("| %s | %+.2f (%+.2f..%+.2f) | %d of %d | %d | %+.2f (%+.2f..%+.2f) at %d %% |\n", name, m.mean, m.low, m.high, won, counted, lost,
           least.mean, least.low, least.high, (at + 1) * 100 / GRID);
    free(mean[0]);
    free(mean[1]);
}

static void print_differences(const int32_t *policy, int policies)
{
    const record *first = &records[0];

    for (int asked = 0; asked < 2; asked++) {
        printf("\n| %s minus, %s | mean over budgets (95 %%) | budgets won | lost | smallest difference |\n|---|---:|---:|---:|---:|\n",
               ln_policy_name(policy[0]), asked ? "as asked" : "all spent");
        for (int p = 1; p < policies; p++)
            print_difference(ln_policy_name(policy[p]), asked ? first->asked : first->spent, asked ? records[p].asked : records[p].spent,
                             first->lacks, records[p].lacks);
    }
}

static int read_policies(char *list, int32_t *policy)
{
    int count = 0;

    for (char *name = strtok(list, ","); name; name = strtok(NULL, ","), count++) {
        if (count == MOST_POLICIES) {
            fprintf(stderr, "crossfold: at most %d policies\n", MOST_POLICIES);
            exit(2);
        }
        must(ln_policy_find(&policy[count], name, &err));
    }
    return count;
}

static int usage(void)
{
    fprintf(stderr, "usage: crossfold [-p POLICY,POLICY...] [-s SEEDS] MODEL DATA [MODEL DATA]...\n"
                    "With -s the same DATA in the same order for every seed.\n");
    return 2;
}

/* Whether the DATA of every seed are those of the first. */
static bool repeats(char **pairs, int count, int seeds)
{
    if (seeds < 1 || count < 2 || count % (2 * seeds))
        return false;
    for (int i = count / seeds; i < count; i += 2)
        if (strcmp(pairs[i + 1], pairs[i % (count / seeds) + 1]))
            return false;
    return true;
}

int main(int argc, char **argv)
{
    int32_t policy[MOST_POLICIES] = { LN_POLICY_GATE };
    int policies = 1, seeds = 1, at = 1;

    for (; at + 1 < argc && argv[at][0] == '-'; at += 2)
        if (strcmp(argv[at], "-p") == 0)
            policies = read_policies(argv[at + 1], policy);
        else if (strcmp(argv[at], "-s") == 0)
            seeds = atoi(argv[at + 1]);
        else
            return usage();
    if (policies == 0 || !repeats(argv + at, argc - at, seeds))
        return usage();
    for (; at < argc; at += 2)
        judge(argv[at], argv[at + 1], policy, policies);
    average_seeds(policies, seeds);
    double plain = 0;
    for (size_t r = 0; r < rows_seen; r++)
        plain += 100 * plain_right[r] / (double)rows_seen;
    printf("%zu rows, %d seed%s; plain network %.2f %%\n\n", rows_seen, seeds, seeds > 1 ? "s" : "", plain);
    print_losses(policy, policies);
    print_half();
    if (policies > 1)
        print_differences(policy, policies);
    return 0;
}
