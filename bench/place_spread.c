/* place_spread.c - exits placed by ln_exit_place beside as many spread evenly: accuracy within budgets of multiply-adds.
 *
 *     build/bench/place_spread [-n EXITS] [-s SEED] MODEL TRAIN VAL [TRAIN VAL]...
 *
 * MODEL is best one that `leenet train` made: its preprocessing and classes stand, its exits are replaced.
 * For each TRAIN (of a cross-validation: :not=K/5, and :part=K/5 as VAL) both kinds of exits learn from it; rows of VAL
 * leave at the first exit whose largest probability is above a threshold common to all exits, which is set so that the
 * budget is met, between two thresholds by mixing them. Prints in Markdown over the rows of all VAL, with the 95 %
 * bootstrap interval of the difference on the same rows. EXITS 0: as many as pay. */
#include "paired.h"

#include <math.h>
#include <string.h>

enum { EXITS = 63, STEPS = 1600, PLACED = 0, EVEN = 1 };

static const double budgets[] = { 0.25, 0.35, 0.5 };
enum { BUDGETS = sizeof budgets / sizeof *budgets };

static double *right[2][BUDGETS];     /* [rows of all VAL], placed and even */
static size_t rows_seen;

/* Shares of multiply-adds spent when leaving at exit 0..E. */
static void read_costs(const ln_model *model, double *cost)
{
    uint32_t exits = ln_model_exit_count(model);
    size_t count = 0;

    must(ln_exit_candidates(model, NULL, 0, &count, &err));
    ln_exit_candidate *places = need(calloc(count, sizeof *places));
    must(ln_exit_candidates(model, places, count, &count, &err));
    cost[exits] = 1;
    for (uint32_t e = 0; e < exits; e++) {
        ln_exit_info info = LN_EXIT_INFO_INIT;
        must(ln_exit_get_info(model, e, &info, &err));
        cost[e] = info.macs_share;
        for (size_t i = 0; i < count; i++)      /* what is not backbone is heads, which rows that stay pay as well */
            if (strcmp(places[i].value, info.value) == 0)
                cost[exits] = 1 + info.macs_share - places[i].macs_share;
    }
    free(places);
}

static double confidence_at(int step) { return 16.2 * step / STEPS; }

/* Where each row leaves with the threshold of a step; the mean cost. */
static double leave(const ln_answers *answers, uint32_t exits, const double *cost, int step, uint32_t *exit)
{
    size_t rows = ln_answers_rows(answers);
    double spent = 0;

    for (size_t r = 0; r < rows; r++) {
        float probability;

        exit[r] = 0;
        ln_answers_choice(answers, 0, r, &probability);
        while (exit[r] < exits && !(-log(fmax(1.0 - (double)probability, 1e-7)) > confidence_at(step)))
            ln_answers_choice(answers, ++exit[r], r, &probability);
        spent += cost[exit[r]] / (double)rows;
    }
    return spent;
}

static void add_right(const ln_answers *answers, const uint32_t *exit, double weight, double *to)
{
    for (size_t r = 0; r < ln_answers_rows(answers); r++)
        to[r] += weight * (ln_answers_choice(answers, exit[r], r, NULL) == ln_answers_label(answers, r));
}

/* Exactly the budget: the thresholds whose costs enclose it, mixed. */
static void spend(const ln_answers *answers, uint32_t exits, const double *cost, double budget, double *to)
{
    size_t rows = ln_answers_rows(answers);
    uint32_t *below = need(malloc(rows * sizeof *below)), *above = need(malloc(rows * sizeof *above));
    double least = 0, now = 0;
    int step = 0;

    for (; step <= STEPS && (now = leave(answers, exits, cost, step, above)) <= budget; step++) {
        memcpy(below, above, rows * sizeof *below);
        least = now;
    }
    if (step == 0) {
        fprintf(stderr, "place_spread: the first exit costs %.3f, more than the budget of %.3f\n", now, budget);
        exit(1);
    }
    double share = now > budget ? (budget - least) / (now - least) : 0;
    add_right(answers, below, 1 - share, to);
    add_right(answers, above, share, to);
    free(below);
    free(above);
}

static void judge(ln_model *model, ln_data *val, double **to)
{
    ln_answers_options options = LN_ANSWERS_OPTIONS_INIT;
    ln_answers *answers;
    double cost[EXITS + 1];

    options.threads = 2;
    must(ln_answers_collect(&answers, model, val, &options, &err));
    size_t rows = ln_answers_rows(answers);
    read_costs(model, cost);
    for (int b = 0; b < BUDGETS; b++) {
        to[b] = need(realloc(to[b], (rows_seen + rows) * sizeof(double)));
        memset(to[b] + rows_seen, 0, rows * sizeof(double));
        spend(answers, ln_model_exit_count(model), cost, budgets[b], to[b] + rows_seen);
    }
    ln_answers_free(answers);
}

static void compare(ln_model *model, const char *train_spec, const char *val_spec, const ln_place_options *where)
{
    ln_train_options how = LN_TRAIN_OPTIONS_INIT;
    ln_data *train, *val;

    must(ln_data_open(&train, train_spec, NULL, &err));
    must(ln_data_open(&val, val_spec, NULL, &err));
    how.seed = where->seed;
    must(ln_exit_clear(model, &err));
    must(ln_exit_place(model, train, where, NULL, 0, NULL, &err));
    uint32_t exits = ln_model_exit_count(model);
    must(ln_exit_train(model, train, &how, &err));
    judge(model, val, right[PLACED]);
    must(ln_exit_clear(model, &err));
    must(ln_exit_add_auto(model, exits, NULL, &err));
    must(ln_exit_train(model, train, &how, &err));
    judge(model, val, right[EVEN]);
    rows_seen += ln_data_rows(val);
    fprintf(stderr, "%s: %u exits\n", val_spec, exits);
    ln_data_free(train);
    ln_data_free(val);
}

static double percent(const double *column)
{
    double sum = 0;

    for (size_t r = 0; r < rows_seen; r++)
        sum += 100 * column[r] / (double)rows_seen;
    return sum;
}

static void print_table(void)
{
    printf("%zu rows\n\n| budget of multiply-adds | placed | even | difference (95 %%) |\n|---:|---:|---:|---:|\n", rows_seen);
    for (int b = 0; b < BUDGETS; b++) {
        interval d = paired_difference(right[PLACED][b], right[EVEN][b], rows_seen);

        printf("| %.2f | %.2f | %.2f | %+.2f (%+.2f..%+.2f) |\n", budgets[b], percent(right[PLACED][b]), percent(right[EVEN][b]), d.mean, d.low,
               d.high);
    }
}

int main(int argc, char **argv)
{
    ln_place_options where = LN_PLACE_OPTIONS_INIT;
    ln_model *model;
    int at = 1;

    where.cost = LN_COST_MACS;
    where.budgets = budgets;
    where.n_budgets = BUDGETS;
    for (; at + 1 < argc && argv[at][0] == '-'; at += 2)
        if (strcmp(argv[at], "-n") == 0)
            where.exits = (uint32_t)atoi(argv[at + 1]);
        else if (strcmp(argv[at], "-s") == 0)
            where.seed = (uint64_t)atoll(argv[at + 1]);
        else
            break;
    if (argc - at < 3 || (argc - at) % 2 == 0 || argv[at][0] == '-') {
        fputs("usage: place_spread [-n EXITS] [-s SEED] MODEL TRAIN VAL [TRAIN VAL]...\n", stderr);
        return 2;
    }
    must(ln_model_load(&model, argv[at], NULL, &err));
    for (int i = at + 1; i < argc; i += 2)
        compare(model, argv[i], argv[i + 1], &where);
    print_table();
    ln_model_free(model);
    return 0;
}
