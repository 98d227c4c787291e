/* Scores of every policy against a direct computation in double, and what policies learn. */
#include "policy/policy.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "run_suite.h"

enum { EXITS = 4, MOST = 40, ROWS = 200 };

static ln__ctx ctx;

/* ---- By hand ------------------------------------------------------------------------------ */

static int best_of(const float *z, int classes)
{
    int best = 0;
    for (int c = 1; c < classes; c++)
        best = z[c] > z[best] ? c : best;
    return best;
}

static void log_softmax(const float *z, int classes, double *out)
{
    double sum = 0;
    for (int c = 0; c < classes; c++)
        sum += exp((double)z[c] - z[best_of(z, classes)]);
    for (int c = 0; c < classes; c++)
        out[c] = (double)z[c] - z[best_of(z, classes)] - log(sum);
}

static double by_hand(const ln__gates *gates, int exit, float z[EXITS][MOST], int classes, const float *scores, double *mixed)
{
    double lp[EXITS][MOST], first = 0, second = 0, entropy = 0, x[MOST + 8], sum = 0, top = -INFINITY;
    int run = 1;

    for (int e = 0; e <= exit; e++)
        log_softmax(z[e], classes, lp[e]);
    for (int c = 0; c < classes; c++) {
        double p = exp(lp[exit][c]);
        entropy -= p * lp[exit][c];
        if (p > first) {
            second = first;
            first = p;
        } else if (p > second) {
            second = p;
        }
    }
    while (run <= exit && best_of(z[exit - run], classes) == best_of(z[exit], classes))
        run++;
    switch (gates->policy) {
    case LN_POLICY_ENTROPY:
        return 1 - entropy / log(classes);
    case LN_POLICY_MARGIN:
        return first - second;
    case LN_POLICY_PATIENCE:
        return run / (EXITS + 1.0);
    case LN_POLICY_EENET:
        for (int c = 0; c < classes; c++)
            x[c] = exp(lp[exit][c]);
        x[classes] = first;
        x[classes + 1] = 1 - entropy / log(classes);
        x[classes + 2] = run / (exit + 1.0);
        for (int e = 0; e < exit; e++)
            x[classes + 3 + e] = scores[e];
        sum = *ln__mlp_b2(&gates->gate[exit]);
        for (int i = 0; i < classes + 3 + exit; i++)
            sum += ln__mlp_w2(&gates->gate[exit])[i] * x[i];
        return 1 / (1 + exp(-sum));
    case LN_POLICY_ENSEMBLE:
        for (int c = 0; c < classes; c++) {
            mixed[c] = 0;
            for (int e = 0; e <= exit; e++)
                mixed[c] += ln__mlp_w2(&gates->gate[exit])[e] * lp[e][c];
            top = fmax(top, mixed[c]);
        }
        for (int c = 0; c < classes; c++)
            sum += exp(mixed[c] - top);
        for (int c = 0; c < classes; c++)
            mixed[c] -= top + log(sum);
        return 1 / sum;
    default:
        return first;
    }
}

static void make_gates(ln__gates *gates, int32_t policy, int classes, ln__rng *rng)
{
    ck_assert_int_eq(ln__gates_new(gates, &ctx, LN_GATE_STATISTICS, EXITS, NULL), LN_OK);
    gates->policy = policy;
    for (uint32_t e = 0; e < EXITS && (policy == LN_POLICY_EENET || policy == LN_POLICY_ENSEMBLE); e++) {
        int32_t inputs = policy == LN_POLICY_EENET ? ln__eenet_count(classes, e) : (int32_t)e + 1;
        ck_assert_int_eq(ln__mlp_new(&gates->gate[e], &ctx, inputs, 0, 1, NULL), LN_OK);
        for (int i = 0; i < inputs; i++)
            ln__mlp_w2(&gates->gate[e])[i] = (float)fabs(ln__rng_normal(rng));
    }
}

static void check_row(const ln__gates *gates, float z[EXITS][MOST], int classes)
{
    float p[EXITS][MOST], scores[EXITS], mixed[MOST], scratch[MOST + 16];
    const float *logits[EXITS], *probabilities[EXITS];
    ln__sight sight = { .classes = classes, .logits = logits, .probabilities = probabilities, .scores = scores, .mixed = mixed,
                        .scratch = scratch };
    double wanted[MOST];

    ck_assert_uint_le(ln__score_scratch(gates, classes), LN__COUNT(scratch));
    for (int e = 0; e < EXITS; e++) {
        logits[e] = z[e];
        probabilities[e] = p[e];
        ln__softmax_rows(z[e], 1, classes, p[e]);
        scores[e] = ln__score(gates, (uint32_t)e, &sight);
        double expected = by_hand(gates, e, z, classes, scores, wanted);
        ck_assert_msg(fabs(scores[e] - expected) < 3e-6, "%s at exit %d of %d classes: %.8f, by hand %.8f",
                      ln_policy_name(gates->policy), e, classes, scores[e], expected);
        ck_assert(scores[e] >= 0 && scores[e] <= 1);
        const float *answer = ln__score_answer(gates, (uint32_t)e, &sight);
        ck_assert((answer == mixed) == (gates->policy == LN_POLICY_ENSEMBLE));
        for (int c = 0; answer == mixed && c < classes; c++)
            ck_assert(fabs(answer[c] - wanted[c]) < 1e-4 * (1 + fabs(wanted[c])));
        ck_assert(answer == mixed || answer == z[e]);
    }
}

START_TEST(scores_are_those_of_the_definitions)
{
    static const int sizes[] = { 2, 3, 10, 40 };
    ln__rng rng = ln__rng_make(3, 0);

    for (int32_t policy = LN_POLICY_MAX_PROB; policy < LN_POLICY_ORACLE; policy++)
        for (size_t s = 0; s < LN__COUNT(sizes); s++)
            for (int r = 0; r < ROWS; r++) {
                float z[EXITS][MOST];
                ln__gates gates;

                make_gates(&gates, policy, sizes[s], &rng);
                for (int e = 0; e < EXITS; e++)
                    for (int c = 0; c < sizes[s]; c++)      /* exits that mostly agree; some rows sure to the last bit */
                        z[e][c] = (float)((r % 4 == 3 ? 40 : 2) * ln__rng_normal(&rng)) + (c == r % sizes[s] ? 4 : 0);
                check_row(&gates, z, sizes[s]);
                ln__gates_free(&gates, &ctx);
            }
}
END_TEST

START_TEST(one_class_and_no_doubt)
{
    float z[EXITS][MOST] = { { 0 } };
    ln__gates gates;
    ln__rng rng = ln__rng_make(3, 0);
    static const int32_t full[] = { LN_POLICY_MAX_PROB, LN_POLICY_MARGIN, LN_POLICY_ENTROPY, LN_POLICY_ENSEMBLE, LN_POLICY_GEOMETRIC };

    for (size_t i = 0; i < LN__COUNT(full); i++)
        for (int classes = 1; classes < 4; classes++) {
            float p[MOST], mixed[MOST], scratch[64];
            const float *logits[1] = { z[0] }, *probabilities[1] = { p };
            ln__sight sight = { .classes = classes, .logits = logits, .probabilities = probabilities, .mixed = mixed, .scratch = scratch };
            make_gates(&gates, full[i], classes, &rng);
            z[0][0] = 200;
            ln__softmax_rows(z[0], 1, classes, p);
            ck_assert(ln__score(&gates, 0, &sight) == 1);
            z[0][0] = 0;
            ln__softmax_rows(z[0], 1, classes, p);
            float none = full[i] == LN_POLICY_MARGIN || full[i] == LN_POLICY_ENTROPY ? 0 : 1.0f / (float)classes;
            if (classes > 1)
                ck_assert(fabsf(ln__score(&gates, 0, &sight) - none) < 1e-6f);
            ln__gates_free(&gates, &ctx);
        }
}
END_TEST

/* ---- What is learned ------------------------------------------------------------------------ */

static double mixed_loss(const double *w, float *const *logits, const int32_t *labels, int n, int classes, int exit)
{
    double loss = 0;

    for (int r = 0; r < n; r++) {
        double mixed[MOST] = { 0 }, lp[MOST], sum = 0;
        for (int e = 0; e <= exit; e++) {
            log_softmax(logits[e] + r * classes, classes, lp);
            for (int c = 0; c < classes; c++)
                mixed[c] += w[e] * lp[c];
        }
        for (int c = 0; c < classes; c++)
            sum += exp(mixed[c]);
        loss -= (mixed[labels[r]] - log(sum)) / n;
    }
    return loss;
}

START_TEST(ensemble_weights_minimise_the_loss)
{
    enum { N = 600, CLASSES = 5, LAST = 2 };
    ln__rng rng = ln__rng_make(9, 0);
    static const double strength[LAST + 1] = { 0.3, 0.0, 1.5 };     /* the exit between says nothing */
    float *logits[LAST + 1];
    int32_t labels[N];
    double w[LAST + 1], scratch[3 * CLASSES];

    for (int e = 0; e <= LAST; e++)
        logits[e] = malloc(N * CLASSES * sizeof(float));
    for (int r = 0; r < N; r++) {
        labels[r] = (int32_t)ln__rng_below(&rng, CLASSES);
        for (int e = 0; e <= LAST; e++)
            for (int c = 0; c < CLASSES; c++)
                logits[e][r * CLASSES + c] = (float)(ln__rng_normal(&rng) + strength[e] * (c == labels[r]));
    }
    ln__ensemble_fit(w, (const float *const *)logits, labels, N, CLASSES, LAST, scratch);
    double found = mixed_loss(w, logits, labels, N, CLASSES, LAST);
    for (int e = 0; e <= LAST; e++)
        ck_assert_msg(w[e] >= 0, "weight %g", w[e]);
    ck_assert_msg(w[2] > 3 * w[0] && w[0] > w[1], "weights %g %g %g", w[0], w[1], w[2]);
    for (int k = 0; k < 300; k++) {                 /* nothing nearby is better by more than the steps' end */
        double other[LAST + 1];
        for (int e = 0; e <= LAST; e++)
            other[e] = fmax(0, w[e] + (k % 2 ? 0.05 : 0.4) * ln__rng_normal(&rng));
        ck_assert_msg(mixed_loss(other, logits, labels, N, CLASSES, LAST) > found - 1e-3, "loss %g", found);
    }
    for (int e = 0; e <= LAST; e++)
        free(logits[e]);
}
END_TEST

START_TEST(eenet_schedules_meet_their_budgets)
{
    enum { BUDGETS = 20 };
    static const double cost[EXITS + 1] = { 0.15, 0.3, 0.55, 0.8, 1.02 };
    float q[ROWS * (EXITS + 1)];
    double out[BUDGETS * (EXITS + 1)], before = 2;
    ln__rng rng = ln__rng_make(5, 0);

    for (int i = 0; i < ROWS * (EXITS + 1); i++)
        q[i] = (float)fmin(1, 0.3 + 0.15 * (i % (EXITS + 1)) + 0.2 * ln__rng_double(&rng));
    ln__eenet_schedules(out, BUDGETS, 4, q, cost, ROWS, EXITS);
    for (int b = 0; b < BUDGETS; b++) {
        double sum = 0, mean = 0, root = 1 - (b + 1.0) / (BUDGETS + 1), wanted = cost[0] + (cost[EXITS] - cost[0]) * root * root;
        for (int e = 0; e <= EXITS; e++) {
            sum += out[b * (EXITS + 1) + e];
            mean += out[b * (EXITS + 1) + e] * cost[e];
        }
        ck_assert(fabs(sum - 1) < 1e-9);
        ck_assert_msg(fabs(mean - wanted) < 1e-4, "budget %g, spent %g", wanted, mean);
        ck_assert(mean < before);
        before = mean;
    }
    /* An exit that is never right is left to nobody while others can meet the budget. */
    for (int i = 0; i < ROWS; i++)
        q[i * (EXITS + 1) + 2] = 0.001f;
    ln__eenet_schedules(out, BUDGETS, 4, q, cost, ROWS, EXITS);
    ck_assert(out[10 * (EXITS + 1) + 2] < 1e-6);
}
END_TEST

START_TEST(names_are_found)
{
    int32_t policy = -1;
    ln_error err;

    for (int32_t p = LN_POLICY_GATE; p <= LN_POLICY_ORACLE; p++) {
        ck_assert_int_eq(ln_policy_find(&policy, ln_policy_name(p), &err), LN_OK);
        ck_assert_int_eq(policy, p);
    }
    ck_assert_ptr_null(ln_policy_name(LN_POLICY_ORACLE + 1));
    ck_assert_ptr_null(ln_policy_name(-1));
    ck_assert_int_eq(ln_policy_find(&policy, "maxprob", &err), LN_E_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(err.text, "max-prob"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("policy scores");
    TCase *core = tcase_create("core");

    ctx = ln__ctx_make(NULL, NULL, NULL);
    tcase_set_timeout(core, 60);
    tcase_add_test(core, scores_are_those_of_the_definitions);
    tcase_add_test(core, one_class_and_no_doubt);
    tcase_add_test(core, ensemble_weights_minimise_the_loss);
    tcase_add_test(core, eenet_schedules_meet_their_budgets);
    tcase_add_test(core, names_are_found);
    suite_add_tcase(suite, core);
    return run_suite(suite);
}
