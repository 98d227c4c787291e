/* bound.c - tests that hold for finite samples: has a setting lost more than was allowed?
 *
 * Each calibration row is lost (right in the plain network, wrong here), gained (the reverse) or neither, with
 * probabilities p, q, 1 - p - q: the counts are trinomial. Hypothesis to reject: p - q >= drop. Evidence against it is the
 * likelihood ratio between any (p, q) and those on the line p - q = drop; outcomes at least as extreme as the one
 * observed form a region R of counts, and the p-value is the largest probability of R that the hypothesis allows
 * (unconditional exact test; with the score in place of the ratio: Hsueh, Liu, Chen 2001), over the p + q that the
 * discordant rows leave credible, at the price of 1 - that credibility (Berger, Boos 1994).
 *
 * Why the line suffices: by the envelope theorem the derivative of the log ratio by `lost` is log(p1 / r1) - log(p0 / r0),
 * r the rest's share, 1 the free fit and 0 the fit on the line, and by `gained` the same with q. On the side where
 * lost - gained < n drop the multiplier of the constraint makes the first negative and the second positive. So with
 * (l, g) R holds (l - 1, g) and (l, g + 1); fewer lost or more gained rows stay in R; and the probability of R can only grow
 * when p shrinks or q grows. By the same argument P(R) over q in [a, b] on the line is at most that at
 * p = a + drop, q = b, which makes the maximum over the line a true bound, not one over a grid. */
#include "policy/policy.h"

#include <math.h>

enum { FIRST_PIECES = 16, MOST_PIECES = 128 };

static const double SET_ASIDE = 5e-4;   /* probability that p + q is outside the credible set, half on either side */
static const double NEGLECTED = 1e-12;  /* at most what the ends left out of a sum hold */

/* ---- Binomial ------------------------------------------------------------------------------ */

/* log n!. (lgamma writes a global.) */
static double log_factorial(double n)
{
    double x = n + 1, shift = 0;

    while (x < 16)
        shift += log(x++);
    double y = 1 / (x * x);
    return (x - 0.5) * log(x) - x + 0.91893853320467274178
         + (1.0 / 12 - y * (1.0 / 360 - y * (1.0 / 1260 - y / 1680))) / x - shift;
}

static double choose_exactly(double n, double k, double p)
{
    if (p <= 0 || p >= 1)
        return k == (p <= 0 ? 0 : n) ? 1 : 0;
    return exp(log_factorial(n) - log_factorial(k) - log_factorial(n - k) + k * log(p) + (n - k) * log1p(-p));
}

/* P(X <= k), X binomial (n, p); summed from k away from the middle, so that small tails keep their digits. */
static double at_most(double n, double k, double p)
{
    bool low = k < n * p;
    double sum = 0, i = low ? k : k + 1;

    if (k < 0 || k >= n || p <= 0 || p >= 1)
        return k < 0 ? 0 : k >= n || p <= 0 ? 1 : 0;
    double odds = p / (1 - p), term = choose_exactly(n, i, p);
    while (term > 0) {
        double before = sum;
        sum += term;
        if (sum == before)
            break;
        term *= low ? i / (n - i + 1) / odds : (n - i) / (i + 1) * odds;
        i += low ? -1 : 1;
    }
    return low ? fmin(sum, 1) : fmax(1 - sum, 0);
}

/* The shares s outside of which at most k, or k or more, are less likely than `level` (Clopper, Pearson 1934). */
static void limits(double n, double k, double level, double *least, double *most)
{
    double low[2] = { 0, k / n }, high[2] = { k / n, 1 };

    for (int i = 0; i < 60; i++) {
        double below = 0.5 * (low[0] + high[0]), above = 0.5 * (low[1] + high[1]);
        *(1 - at_most(n, k - 1, below) > level ? &high[0] : &low[0]) = below;
        *(at_most(n, k, above) > level ? &low[1] : &high[1]) = above;
    }
    *least = low[0];
    *most = high[1];
}

/* ---- The region of outcomes as extreme ---------------------------------------------------------- */

typedef struct region { double n, drop, ratio; } region;

static double times_log(double count, double share)
{
    return count > 0 ? count * log(share) : 0;
}

/* Twice the log likelihood ratio; negative where the counts do not speak against the hypothesis. */
static double evidence(double n, double drop, double l, double g)
{
    double r = n - l - g, b = g * (1 - 3 * drop) + l * (1 - drop) - 2 * r * drop, c = g * drop * (1 - drop);
    double root = sqrt(b * b + 8 * n * c), q;

    if (!(l - g < n * drop))
        return -1;
    /* 2 n q^2 - b q - c = 0, without a difference of near numbers. */
    q = b > 0 ? (b + root) / (4 * n) : root - b > 0 ? 2 * c / (root - b) : 0;
    double free_fit = times_log(l, l / n) + times_log(g, g / n) + times_log(r, r / n);
    double held_fit = times_log(l, q + drop) + times_log(g, q) + times_log(r, 1 - drop - 2 * q);
    return fmax(2 * (free_fit - held_fit), 0);
}

static bool extreme(const region *of, double l, double g)
{
    return evidence(of->n, of->drop, l, g) >= of->ratio;
}

/* The least g with (l, g) in the region, from `from` (known to be no greater) on; beyond n - l: none. */
static double least_gained(const region *of, double l, double from)
{
    double step = 1, low = from, high = from;

    if (from > of->n - l || extreme(of, l, from))
        return from;
    while (high <= of->n - l && !extreme(of, l, high)) {
        low = high;
        high += step;
        step *= 2;
    }
    if (high > of->n - l && !extreme(of, l, of->n - l))
        return of->n - l + 1;
    high = fmin(high, of->n - l);
    while (high - low > 1) {
        double middle = floor(0.5 * (low + high));
        *(extreme(of, l, middle) ? &high : &low) = middle;
    }
    return high;
}

/* P(R), sum over l of P(L = l) P(G >= least gained | L = l). */
static double probability(const region *of, double p, double q)
{
    double n = of->n, middle = n * p, reach = 8 * sqrt(n * p * (1 - p)) + 40;
    double first = fmax(0, floor(middle - reach)), last = fmin(n, ceil(middle + reach));
    double among = p < 1 ? fmin(q / (1 - p), 1) : 0, sum = 0, g = 0;
    double term = choose_exactly(n, first, p);

    for (double l = first; l <= last; l++) {
        g = least_gained(of, l, g);
        if (g > n - l)
            break;
        sum += term * (1 - at_most(n - l, g - 1, among));
        term *= p < 1 ? (n - l) / (l + 1) * (p / (1 - p)) : 0;
    }
    return sum + NEGLECTED;
}

/* ---- The largest probability on the line ------------------------------------------------------------ */

typedef struct piece { double a, b, bound; } piece;

static piece piece_make(const region *of, double a, double b)
{
    return (piece){ a, b, probability(of, a + of->drop, b) };
}

/* Best first: the piece with the largest bound is halved until its bound is reached nearly enough. */
static double largest_probability(const region *of, double q_least, double q_most)
{
    piece pieces[MOST_PIECES];
    double reached = fmax(probability(of, q_least + of->drop, q_least), probability(of, q_most + of->drop, q_most));
    double width = (q_most - q_least) / FIRST_PIECES;
    int count = 0, top;

    for (; count < FIRST_PIECES; count++)
        pieces[count] = piece_make(of, q_least + width * count, q_least + width * (count + 1));
    for (;;) {
        top = 0;
        for (int i = 1; i < count; i++)
            if (pieces[i].bound > pieces[top].bound)
                top = i;
        if (count == MOST_PIECES || pieces[top].bound <= reached * 1.02 + 1e-5)
            return pieces[top].bound;
        double a = pieces[top].a, b = pieces[top].b, middle = 0.5 * (a + b);
        reached = fmax(reached, probability(of, middle + of->drop, middle));
        pieces[top] = piece_make(of, a, middle);
        pieces[count++] = piece_make(of, middle, b);
    }
}

double ln__bound_drop(uint64_t rows, uint64_t lost, uint64_t gained, double drop)
{
    double n = (double)rows, l = (double)lost, g = (double)gained;
    region of = { n, drop, 0 };

    if (drop >= 1)
        return 0;               /* no policy can lose more */
    if (rows == 0 || !(drop >= 0) || !(l - g < n * drop))
        return 1;
    of.ratio = evidence(n, drop, l, g) * (1 - 1e-12);
    double least, most;
    limits(n, l + g, 0.5 * SET_ASIDE, &least, &most);
    if (most <= drop)
        return SET_ASIDE;
    return fmin(1, SET_ASIDE + largest_probability(&of, fmax(0, 0.5 * (least - drop)), 0.5 * (most - drop)));
}

double ln__bound_change(uint64_t rows, uint64_t changed, double share)
{
    if (rows == 0 || !(share >= 0))
        return 1;
    return share >= 1 ? 0 : at_most((double)rows, (double)changed, share);
}

double ln__bound_test(const ln__tally *seen, int32_t against, double drop)
{
    return against == LN_AGAINST_PLAIN ? ln__bound_change(seen->rows, seen->changed, drop)
                                       : ln__bound_drop(seen->rows, seen->lost, seen->gained, drop);
}

/* ---- How many rows would do ---------------------------------------------------------------------------- */

static bool would_pass(const double rates[3], uint64_t rows, int32_t against, double drop, double level)
{
    double n = (double)rows;
    ln__tally seen = { rows, (uint64_t)ceil(n * rates[0] - 1e-9), (uint64_t)floor(n * rates[1] + 1e-9),
                       (uint64_t)ceil(n * rates[2] - 1e-9) };

    return ln__bound_test(&seen, against, drop) <= level;
}

uint64_t ln__bound_rows(const double rates[3], int32_t against, double drop, double level)
{
    uint64_t low = 0, high = 16;

    while (!would_pass(rates, high, against, drop, level)) {
        low = high;
        high *= 2;
        if (high > LN__BOUND_MOST_ROWS)
            return UINT64_MAX;
    }
    while (high - low > LN__MAX(low / 128, 1)) {
        uint64_t middle = low + (high - low) / 2;
        *(would_pass(rates, middle, against, drop, level) ? &high : &low) = middle;
    }
    return high;
}
