#include "policy/policy.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>

#include "run_suite.h"

/* ---- By enumeration, with nothing of the library's ---------------------------------------- */

static double log_sum(int n)
{
    double sum = 0;

    for (int i = 2; i <= n; i++)
        sum += log(i);
    return sum;
}

static double power_of(double base, int exponent)
{
    return exponent == 0 ? 1 : base <= 0 ? 0 : pow(base, exponent);
}

static double trinomial(int n, int l, int g, double p, double q)
{
    return exp(log_sum(n) - log_sum(l) - log_sum(g) - log_sum(n - l - g)) * power_of(p, l) * power_of(q, g) *
           power_of(fmax(1 - p - q, 0), n - l - g);
}

static double log_likelihood(int n, int l, int g, double p, double q)
{
    double sum = 0;

    sum += l ? l * log(p) : 0;
    sum += g ? g * log(q) : 0;
    return sum + (n - l - g ? (n - l - g) * log(fmax(1 - p - q, 0)) : 0);
}

/* Twice the log likelihood ratio against p - q = drop, the best q by ternary search. */
static double ratio_by_search(int n, int l, int g, double drop)
{
    double low = 0, high = 0.5 * (1 - drop);

    if (l - g >= n * drop)
        return -1;
    for (int i = 0; i < 200; i++) {
        double a = low + (high - low) / 3, b = high - (high - low) / 3;
        if (log_likelihood(n, l, g, a + drop, a) < log_likelihood(n, l, g, b + drop, b))
            low = a;
        else
            high = b;
    }
    return 2 * (log_likelihood(n, l, g, (double)l / n, (double)g / n) - log_likelihood(n, l, g, low + drop, low));
}

static double probability_of_extremes(int n, double ratio, double drop, double p, double q)
{
    double sum = 0;

    for (int l = 0; l <= n; l++)
        for (int g = 0; l + g <= n; g++)
            if (ratio_by_search(n, l, g, drop) >= ratio - 1e-7)
                sum += trinomial(n, l, g, p, q);
    return sum;
}

static double binomial_tail(int n, int k, double p)
{
    double sum = 0;

    for (int i = 0; i <= k; i++)
        sum += trinomial(n, i, 0, p, 0);
    return sum;
}

/* ---- Tests ------------------------------------------------------------------------------------ */

/* Whatever lost and gained truly are, no drop that is too large passes oftener than the level says. */
START_TEST(too_large_a_drop_passes_no_oftener_than_the_level)
{
    static const int sizes[] = { 1, 12, 30 };
    static const double drops[] = { 0, 0.03, 0.1, 0.25 }, levels[] = { 0.01, 0.05, 0.2 };
    static double found[31][31];

    for (size_t s = 0; s < LN__COUNT(sizes); s++)
        for (size_t d = 0; d < LN__COUNT(drops); d++) {
            int n = sizes[s];
            double drop = drops[d];
            for (int l = 0; l <= n; l++)
                for (int g = 0; l + g <= n; g++)
                    found[l][g] = ln__bound_drop((uint64_t)n, (uint64_t)l, (uint64_t)g, drop);
            for (double q = 0; 2 * q + drop <= 1; q += 0.03)
                for (double p = q + drop; p + q <= 1; p += 0.07) {
                    double passed[3] = { 0, 0, 0 };
                    for (int l = 0; l <= n; l++)
                        for (int g = 0; l + g <= n; g++)
                            for (int k = 0; k < 3; k++)
                                passed[k] += found[l][g] <= levels[k] ? trinomial(n, l, g, p, q) : 0;
                    for (int k = 0; k < 3; k++)
                        ck_assert_msg(passed[k] <= levels[k] * (1 + 1e-9), "%d rows, lost %g, gained %g: a drop of %g passes "
                                      "with %.6g at level %g", n, p, q, drop, passed[k], levels[k]);
                }
        }
}
END_TEST

START_TEST(p_value_is_the_maximum_over_the_hypothesis)
{
    static const struct { int n, l, g; double drop; } cases[] = {
        { 30, 0, 0, 0.1 }, { 30, 1, 1, 0.15 }, { 30, 2, 5, 0.1 }, { 25, 0, 3, 0.05 }, { 20, 6, 5, 0.25 }, { 24, 1, 7, 0 },
    };

    for (size_t i = 0; i < LN__COUNT(cases); i++) {
        int n = cases[i].n, l = cases[i].l, g = cases[i].g;
        double drop = cases[i].drop, least = 0, most = 1, largest = 0;
        double found = ln__bound_drop((uint64_t)n, (uint64_t)l, (uint64_t)g, drop);
        double ratio = ratio_by_search(n, l, g, drop);
        while (binomial_tail(n, l + g, most) < 2.5e-4)
            most -= 1e-3;
        while (1 - binomial_tail(n, l + g - 1, least) < 2.5e-4)
            least += 1e-3;
        least = fmax(least, drop);
        for (int k = 0; k <= 40; k++) {
            double q = 0.5 * (least + (most - least) * k / 40 - drop);
            largest = fmax(largest, probability_of_extremes(n, ratio, drop, q + drop, q));
        }
        ck_assert_msg(found >= largest && found <= 5e-4 + 1.04 * largest + 2e-5, "%d rows, %d lost, %d gained, drop %g: "
                      "found %.8g, largest %.8g", n, l, g, drop, found, largest);
    }
}
END_TEST

START_TEST(more_lost_rows_are_worse_and_more_gained_better)
{
    for (uint64_t l = 0; l < 12; l++)
        for (uint64_t g = 0; g < 12; g++) {
            double here = ln__bound_drop(1000, l, g, 0.01);
            /* The bound is found to 2 %. */
            ck_assert(ln__bound_drop(1000, l + 1, g, 0.01) >= here * 0.95);
            ck_assert(ln__bound_drop(1000, l, g, 0.02) <= here * 1.05);
        }
    ck_assert(ln__bound_drop(1000, 20, 10, 0.01) == 1);
    ck_assert(ln__bound_drop(0, 0, 0, 0.01) == 1);
    ck_assert(ln__bound_drop(1000, 20, 10, 1) == 0);
    /* None lost: as a binomial tail, (1 - drop)^n. */
    for (int n = 50; n < 2000; n *= 2)
        ck_assert(fabs(ln__bound_drop((uint64_t)n, 0, 0, 0.005) - pow(0.995, n)) < 6e-4 + 0.03 * pow(0.995, n));
}
END_TEST

START_TEST(large_samples_agree_with_the_normal_curve)
{
    static const struct { uint64_t n, l, g; double drop; } cases[] = {
        { 50000, 1200, 1000, 0.006 }, { 20000, 400, 300, 0.008 }, { 1000000, 30000, 26000, 0.0045 },
    };

    for (size_t i = 0; i < LN__COUNT(cases); i++) {
        double n = (double)cases[i].n, l = (double)cases[i].l, g = (double)cases[i].g;
        double z = (n * cases[i].drop - (l - g)) / sqrt(l + g), normal = 0.5 * erfc(z / sqrt(2));
        double found = ln__bound_drop(cases[i].n, cases[i].l, cases[i].g, cases[i].drop);
        ck_assert_msg(found > 0.8 * normal && found < 1.6 * normal + 1e-3, "%g rows: found %.6g, normal %.6g", n, found, normal);
    }
}
END_TEST

START_TEST(changed_answers_are_a_binomial_tail)
{
    for (int n = 1; n <= 40; n += 13)
        for (int k = 0; k <= n; k++)
            for (double share = 0.01; share < 1; share += 0.11) {
                double expected = binomial_tail(n, k, share), found = ln__bound_change((uint64_t)n, (uint64_t)k, share);
                ck_assert_msg(fabs(found - expected) <= 1e-12 + 1e-9 * expected, "%d of %d at %g: %.12g, expected %.12g", k, n,
                              share, found, expected);
            }
    ck_assert(ln__bound_change(0, 0, 0.1) == 1 && ln__bound_change(10, 3, 1) == 0 && ln__bound_change(10, 0, 0) == 1);
}
END_TEST

START_TEST(rows_needed_are_enough_and_not_many_too_many)
{
    static const double rates[][3] = { { 0, 0, 0 }, { 0.004, 0.003, 0.01 }, { 0.02, 0.03, 0.06 } };

    for (size_t i = 0; i < LN__COUNT(rates); i++)
        for (int32_t against = LN_AGAINST_LABELS; against <= LN_AGAINST_PLAIN; against++) {
            double drop = against == LN_AGAINST_PLAIN ? 0.08 : 0.01;
            uint64_t n = ln__bound_rows(rates[i], against, drop, 0.05), fewer = n - n / 5;
            ln__tally enough = { n, (uint64_t)ceil((double)n * rates[i][0]), (uint64_t)((double)n * rates[i][1]),
                                 (uint64_t)ceil((double)n * rates[i][2]) };
            ln__tally few = { fewer, (uint64_t)ceil((double)fewer * rates[i][0]), (uint64_t)((double)fewer * rates[i][1]),
                              (uint64_t)ceil((double)fewer * rates[i][2]) };
            ck_assert(ln__bound_test(&enough, against, drop) <= 0.05);
            ck_assert_msg(ln__bound_test(&few, against, drop) > 0.05, "%llu rows would do, not %llu", (unsigned long long)fewer,
                          (unsigned long long)n);
        }
    ck_assert(ln__bound_rows((const double[3]){ 0.02, 0, 0.02 }, LN_AGAINST_LABELS, 0.02, 0.05) == UINT64_MAX);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bound");
    TCase *core = tcase_create("core");

    tcase_set_timeout(core, 120);
    tcase_add_test(core, too_large_a_drop_passes_no_oftener_than_the_level);
    tcase_add_test(core, p_value_is_the_maximum_over_the_hypothesis);
    tcase_add_test(core, more_lost_rows_are_worse_and_more_gained_better);
    tcase_add_test(core, large_samples_agree_with_the_normal_curve);
    tcase_add_test(core, changed_answers_are_a_binomial_tail);
    tcase_add_test(core, rows_needed_are_enough_and_not_many_too_many);
    suite_add_tcase(suite, core);
    return run_suite(suite);
}
