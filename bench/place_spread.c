/* place_spread.c - exits placed by ln_exit_place beside as many spread evenly: accuracy within budgets of multiply-adds.
 *
 *     build/bench/place_spread MODEL TRAIN VAL [EXITS [SEED]]
 *
 * MODEL is best one that `leenet train` made: its preprocessing and classes stand, its exits are replaced.
 * Heads learn from TRAIN; rows of VAL leave at the first exit whose largest probability is above a threshold common to
 * all exits, which is set so that the budget is met. EXITS 0: as many as pay. */
#include <leenet/leenet.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXITS = 63, STEPS = 1600 };

static const double budgets[] = { 0.25, 0.35, 0.5 };
enum { BUDGETS = sizeof budgets / sizeof *budgets };

static ln_error err;

static void must(ln_status status)
{
    if (status >= 0)
        return;
    fprintf(stderr, "place_spread: %s: %s\n", ln_status_name(status), err.text);
    exit(1);
}

/* Shares of multiply-adds spent when leaving at exit 0..E. */
static void read_costs(const ln_model *model, double *cost)
{
    uint32_t exits = ln_model_exit_count(model);
    size_t count = 0;

    must(ln_exit_candidates(model, NULL, 0, &count, &err));
    ln_exit_candidate *places = calloc(count, sizeof *places);
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

typedef struct point { double cost, accuracy; } point;

static point at_threshold(const ln_answers *answers, uint32_t exits, const double *cost, double threshold)
{
    size_t rows = ln_answers_rows(answers);
    point sum = { 0, 0 };

    for (size_t r = 0; r < rows; r++) {
        uint32_t e = 0;
        float probability;
        int32_t label = ln_answers_choice(answers, 0, r, &probability);

        while (e < exits && !(-log(fmax(1.0 - (double)probability, 1e-7)) > threshold))
            label = ln_answers_choice(answers, ++e, r, &probability);
        sum.cost += cost[e] / (double)rows;
        sum.accuracy += (label == ln_answers_label(answers, r)) / (double)rows;
    }
    return sum;
}

static void judge(ln_model *model, ln_data *val, const char *name)
{
    ln_answers_options options = LN_ANSWERS_OPTIONS_INIT;
    ln_answers *answers;
    double cost[EXITS + 1], found[BUDGETS] = { 0 }, mean = 0;
    uint32_t exits = ln_model_exit_count(model);
    point before = { 0, 0 };

    options.threads = 2;
    must(ln_answers_collect(&answers, model, val, &options, &err));
    read_costs(model, cost);
    for (int k = 0; k <= STEPS; k++) {
        point now = at_threshold(answers, exits, cost, 16.2 * k / STEPS);
        for (int b = 0; b < BUDGETS; b++)
            if (now.cost <= budgets[b])
                found[b] = fmax(found[b], now.accuracy);
            else if (before.cost > 0 && before.cost <= budgets[b])
                found[b] = fmax(found[b], before.accuracy + (now.accuracy - before.accuracy) * (budgets[b] - before.cost) /
                                              (now.cost - before.cost));
        before = now;
    }
    printf("%s,%u", name, exits);
    for (int b = 0; b < BUDGETS; b++) {
        printf(",%.2f", 100 * found[b]);
        mean += 100 * found[b] / BUDGETS;
    }
    printf(",%.2f\n", mean);
    fflush(stdout);
    ln_answers_free(answers);
}

int main(int argc, char **argv)
{
    ln_place_options where = LN_PLACE_OPTIONS_INIT;
    ln_train_options how = LN_TRAIN_OPTIONS_INIT;
    ln_model *model;
    ln_data *train, *val;

    if (argc < 4) {
        fputs("usage: place_spread MODEL TRAIN VAL [EXITS [SEED]]\n", stderr);
        return 2;
    }
    must(ln_model_load(&model, argv[1], NULL, &err));
    must(ln_data_open(&train, argv[2], NULL, &err));
    must(ln_data_open(&val, argv[3], NULL, &err));
    must(ln_exit_clear(model, &err));
    where.exits = argc > 4 ? (uint32_t)atoi(argv[4]) : 0;
    where.seed = how.seed = argc > 5 ? (uint64_t)atoll(argv[5]) : 0;
    where.cost = LN_COST_MACS;
    where.budgets = budgets;
    where.n_budgets = BUDGETS;
    puts("exits,count,accuracy at 25 % of macs,at 35 %,at 50 %,mean");
    must(ln_exit_place(model, train, &where, NULL, 0, NULL, &err));
    uint32_t exits = ln_model_exit_count(model);
    must(ln_exit_train(model, train, &how, &err));
    judge(model, val, "placed");
    must(ln_exit_clear(model, &err));
    must(ln_exit_add_auto(model, exits, NULL, &err));
    must(ln_exit_train(model, train, &how, &err));
    judge(model, val, "even");
    ln_data_free(train);
    ln_data_free(val);
    ln_model_free(model);
    return 0;
}
