/* gate_ridge.c - weighted logistic regression with a quadratic penalty (le Cessie, van Houwelingen, "Ridge estimators in logistic
 * regression", 1992), by Newton's method. */
#include "train/gate_ridge.h"

#include <math.h>
#include <string.h>

/* Newton's method takes about eight passes; a start far off, whose steps are halved often, some more. */
enum { BATCH = 256, PASSES = 60 };

static const double SMALL_STEP = 1e-4;      /* of an argument, for an input one standard deviation from its mean */
static const double SMALL_PIVOT = 1e-12;    /* what rounding may leave of a positive one */

ln_status ln__ridge_new(ln__ridge *r, size_t widest, const ln__ctx *ctx, ln_error *err)
{
    size_t n = widest + 1;

    r->x = ln__array(ctx, widest, BATCH * sizeof *r->x);
    r->w = ln__array(ctx, n, sizeof *r->w);
    r->kept = ln__array(ctx, n, sizeof *r->kept);
    r->gradient = ln__array(ctx, n, sizeof *r->gradient);
    r->curvature = ln__array(ctx, n, n * sizeof *r->curvature);
    return r->x && r->w && r->kept && r->gradient && r->curvature ? LN_OK : ln__fail_nomem(err, ctx, n * n * sizeof *r->curvature);
}

void ln__ridge_free(ln__ridge *r, const ln__ctx *ctx)
{
    void *owned[] = { r->x, r->w, r->kept, r->gradient, r->curvature };

    for (size_t i = 0; i < LN__COUNT(owned); i++)
        ln__free(ctx, owned[i]);
}

/* Adds a row's loss, which is returned, to the gradient and, below its diagonal, to the curvature. */
static double add_row(ln__ridge *r, const float *x, size_t columns, double gain)
{
    double z = r->w[columns], slope, bend;

    for (size_t j = 0; j < columns; j++)
        z += r->w[j] * (double)x[j];
    double loss = ln__gain_expand(z, gain, &slope, &bend);
    for (size_t i = 0; i < columns; i++) {
        double scaled = bend * (double)x[i], *row = r->curvature + i * (columns + 1);
        for (size_t j = 0; j <= i; j++)
            row[j] += scaled * (double)x[j];
        r->gradient[i] += slope * (double)x[i];
    }
    double *last = r->curvature + columns * (columns + 1);
    for (size_t j = 0; j < columns; j++)
        last[j] += bend * (double)x[j];
    last[columns] += bend;
    r->gradient[columns] += slope;
    return loss;
}

/* Makes the sums over rows means, adds the pulls and takes out what is held. */
static double add_pulls(ln__ridge *r, const ln__ridge_problem *p, double loss)
{
    size_t n = p->input->width + 1;
    double *c = r->curvature, each = 1.0 / (double)p->n;

    loss = r->rows_loss = loss * each;
    for (size_t i = 0; i < n; i++) {
        bool held = isinf(p->pull[i]);
        double away = r->w[i] - (double)p->anchor[i];

        for (size_t j = 0; j <= i; j++)
            c[i * n + j] = held || isinf(p->pull[j]) ? 0 : c[i * n + j] * each;
        r->gradient[i] = held ? 0 : r->gradient[i] * each + p->pull[i] * away;
        c[i * n + i] += held ? 1 : p->pull[i];
        loss += held ? 0 : p->pull[i] * away * away / 2;
    }
    return loss;
}

/* The loss at w, its gradient and its curvature. */
static double expand(ln__ridge *r, const ln__ridge_problem *p)
{
    size_t columns = p->input->width, n = columns + 1;
    double loss = 0;

    memset(r->gradient, 0, n * sizeof *r->gradient);
    memset(r->curvature, 0, n * n * sizeof *r->curvature);
    for (size_t at = 0; at < p->n; at += BATCH) {
        size_t count = LN__MIN((size_t)BATCH, p->n - at);
        ln__gate_gather(p->input, p->rows + at, count, r->x);
        for (size_t i = 0; i < count; i++)
            loss += add_row(r, r->x + i * columns, columns, (double)p->gain[p->rows[at + i] * p->stride]);
    }
    return add_pulls(r, p, loss);
}

/* w goes to where the gradient vanishes, were the curvature the same everywhere (Cholesky's factors: it is positive definite, as every pull
 * is positive). The farthest that a weight moved. */
static double leap(ln__ridge *r, size_t n)
{
    double *c = r->curvature, *s = r->gradient, farthest = 0;

    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j <= i; j++) {
            double sum = c[i * n + j];
            for (size_t k = 0; k < j; k++)
                sum -= c[i * n + k] * c[j * n + k];
            c[i * n + j] = i == j ? sqrt(fmax(sum, SMALL_PIVOT)) : sum / c[j * n + j];
        }
        for (size_t k = 0; k < i; k++)
            s[i] -= c[i * n + k] * s[k];
        s[i] /= c[i * n + i];
    }
    for (size_t i = n; i-- > 0;) {
        for (size_t k = i + 1; k < n; k++)
            s[i] -= c[k * n + i] * s[k];
        s[i] /= c[i * n + i];
        r->w[i] -= s[i];
        farthest = fmax(farthest, fabs(s[i]));
    }
    return farthest;
}

static double go_half_back(ln__ridge *r, size_t n)
{
    double farthest = 0;

    for (size_t j = 0; j < n; j++) {
        r->w[j] = (r->w[j] + r->kept[j]) / 2;
        farthest = fmax(farthest, fabs(r->w[j] - r->kept[j]));
    }
    return farthest;
}

/* The rows' loss at what is kept. */
static double descend(ln__ridge *r, const ln__ridge_problem *p)
{
    size_t n = p->input->width + 1;
    double least = INFINITY, moved = INFINITY, rows_loss = NAN;

    memcpy(r->kept, r->w, n * sizeof *r->w);
    for (int pass = 0; pass < PASSES && moved > SMALL_STEP; pass++) {
        double loss = expand(r, p);
        bool lower = loss < least;

        if (lower) {
            least = loss;
            rows_loss = r->rows_loss;
            memcpy(r->kept, r->w, n * sizeof *r->w);
        }
        moved = lower ? leap(r, n) : go_half_back(r, n);
    }
    return rows_loss;
}

double ln__ridge_fit(ln__ridge *r, float *w, const ln__ridge_problem *p)
{
    for (size_t j = 0; j <= p->input->width; j++)
        r->w[j] = (double)(isinf(p->pull[j]) ? p->anchor[j] : w[j]);
    if (p->n == 0)
        return NAN;
    double loss = descend(r, p);
    for (size_t j = 0; j <= p->input->width; j++)
        w[j] = (float)r->kept[j];
    return loss;
}

void ln__ridge_answer(ln__ridge *r, const float *w, const ln__gate_input *input, const uint32_t *rows, size_t n, float *z, size_t stride)
{
    size_t columns = input->width;

    for (size_t at = 0; at < n; at += BATCH) {
        size_t count = LN__MIN((size_t)BATCH, n - at);
        ln__gate_gather(input, rows + at, count, r->x);
        for (size_t i = 0; i < count; i++) {
            double sum = (double)w[columns];
            for (size_t j = 0; j < columns; j++)
                sum += (double)w[j] * (double)r->x[i * columns + j];
            z[rows[at + i] * stride] = (float)sum;
        }
    }
}
