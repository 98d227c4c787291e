/* test_drift.c - the test that tells whether rows leave as others did. */
#include <check.h>
#include <math.h>
#include <string.h>

#include "policy/policy.h"
#include "run_suite.h"

START_TEST(chi_squared_tails)
{
    static const struct { uint32_t k; double x, p; } known[] = {
        { 1, 3.841458821, 0.05 }, { 2, 5.991464547, 0.05 }, { 3, 7.814727903, 0.05 }, { 10, 18.30703805, 0.05 },
        { 9, 27.87716487, 0.001 }, { 50, 67.50480655, 0.05 }, { 63, 103.4424, 0.001 }, { 4, 0.0, 1.0 } };

    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        ck_assert_msg(fabs(ln__chi_squared_tail(known[i].x, known[i].k) - known[i].p) < 2e-6, "%u, %g: %.9g", known[i].k,
                      known[i].x, ln__chi_squared_tail(known[i].x, known[i].k));
    ck_assert(ln__chi_squared_tail(1e5, 7) == 0.0);
}
END_TEST

static void draw(uint64_t *counts, const double *q, uint32_t exits, int n, ln__rng *rng)
{
    memset(counts, 0, exits * sizeof *counts);
    for (int i = 0; i < n; i++) {
        double u = ln__rng_double(rng);
        uint32_t e = 0;
        while (e + 1 < exits && (u -= q[e]) >= 0)
            e++;
        counts[e]++;
    }
}

enum { CELLS = 10, DRAWS = 20000 };

/* p-values of draws from q against a reference of `rows` rows from r: how many are below each level. */
static void simulate(double *below, const double *levels, int n_levels, const double *q, const double *r, int n, int rows)
{
    ln__rng rng = ln__rng_make(7, (uint64_t)(n + rows));

    memset(below, 0, (size_t)n_levels * sizeof *below);
    for (int i = 0; i < DRAWS; i++) {
        uint64_t seen[CELLS], reference[CELLS];
        double shares[CELLS];
        draw(seen, q, CELLS, n, &rng);
        draw(reference, r, CELLS, rows, &rng);
        for (int e = 0; e < CELLS; e++)
            shares[e] = (double)reference[e] / rows;
        double p = ln__drift_p(seen, shares, (uint64_t)rows, CELLS);
        for (int l = 0; l < n_levels; l++)
            below[l] += (p <= levels[l]) / (double)DRAWS;
    }
}

START_TEST(drift_is_uniform_where_there_is_none)
{
    static const double q[CELLS] = { 0.4, 0.25, 0.1, 0.1, 0.05, 0.04, 0.03, 0.02, 0.009, 0.001 };
    static const double levels[] = { 0.001, 0.01, 0.05, 0.2, 0.5, 0.8 };
    static const int sizes[][2] = { { 2000, 2400 }, { 200, 2400 }, { 40, 500 }, { 1000, 100 } };
    double below[6];

    simulate(below, levels, 6, q, q, sizes[_i][0], sizes[_i][1]);
    for (int l = 0; l < 6; l++) {
        double noise = 4 * sqrt(levels[l] * (1 - levels[l]) / DRAWS);
        ck_assert_msg(fabs(below[l] - levels[l]) < noise + 0.1 * levels[l] + 5e-4, "%d rows against %d: %g of the p-values are below %g",
                      sizes[_i][0], sizes[_i][1], below[l], levels[l]);
    }
}
END_TEST

START_TEST(drift_is_seen_where_there_is_some)
{
    static const double q[CELLS] = { 0.4, 0.25, 0.1, 0.1, 0.05, 0.04, 0.03, 0.02, 0.009, 0.001 };
    static const double shifted[CELLS] = { 0.3, 0.2, 0.1, 0.1, 0.1, 0.08, 0.05, 0.04, 0.02, 0.01 };
    static const double level = 1e-3;
    uint64_t one[1] = { 100 }, none[CELLS] = { 0 };
    double below;

    simulate(&below, &level, 1, shifted, q, 600, 2400);
    ck_assert_msg(below > 0.999, "found in %g of the draws", below);
    ck_assert(ln__drift_p(one, (double[]){ 1.0 }, 100, 1) == 1.0);
    ck_assert(ln__drift_p(none, q, 2400, CELLS) == 1.0);
    none[CELLS - 1] = 3;
    ck_assert(ln__drift_p(none, q, 2400, CELLS) == 1.0);    /* three rows say nothing */
    none[CELLS - 1] = 30;
    ck_assert(ln__drift_p(none, q, 2400, CELLS) < 1e-10);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("drift");
    TCase *core = tcase_create("core");

    tcase_set_timeout(core, 600);
    tcase_add_test(core, chi_squared_tails);
    tcase_add_loop_test(core, drift_is_uniform_where_there_is_none, 0, 4);
    tcase_add_test(core, drift_is_seen_where_there_is_some);
    suite_add_tcase(suite, core);
    return run_suite(suite);
}
