/* conv_train.c - the training form of convolutions in front of a head: batches through
 * matrix products, normalised by their own statistics. Maps are asked for row by row
 * where they are needed, as they are much larger than all that is made of them. */
#include "heads/conv.h"

#include <math.h>
#include <string.h>

static const float EPSILON = 1e-5f;

/* ---- Memory --------------------------------------------------------------------------------------------- */

size_t ln__conv_norms(const ln__head *head)
{
    size_t norms = (size_t)ln__head_features(head);

    for (int32_t i = 0; i < head->conv.layers; i++)
        norms += (size_t)head->conv.layer[i].out;
    return norms;
}

void ln__conv_batch_free(ln__conv_batch *b, const ln__ctx *ctx)
{
    void *owned[] = { b->features, b->top, b->map, b->mean, b->scale, b->spread, b->sum, b->other, b->total, b->squares };

    for (size_t i = 0; i < LN__COUNT(owned); i++)
        ln__free(ctx, owned[i]);
    for (int i = 0; i < LN__CONV_LAYERS; i++) {
        ln__free(ctx, b->products[i]);
        ln__free(ctx, b->normal[i]);
        ln__free(ctx, b->active[i]);
    }
    memset(b, 0, sizeof *b);
}

/* Of what a layer reads. */
static size_t map_floats(const ln__conv_layer *l)
{
    return (size_t)(l->height * l->width * l->in);
}

static bool take_layers(ln__conv_batch *b, const ln__ctx *ctx, size_t rows)
{
    bool ok = true;

    for (int32_t i = 0; i < b->head->conv.layers; i++) {
        const ln__conv_layer *l = &b->head->conv.layer[i];
        size_t pixels = (size_t)ln__conv_pixels(l), in = (size_t)l->in * sizeof(float), out = (size_t)l->out * sizeof(float);

        b->products[i] = ln__array(ctx, rows, pixels * in);
        b->normal[i] = ln__array(ctx, rows, pixels * out);
        b->active[i] = ln__array(ctx, rows, pixels * out);
        ok = ok && b->products[i] && b->normal[i] && b->active[i];
    }
    return ok;
}

ln_status ln__conv_batch_new(ln__conv_batch *b, const ln__ctx *ctx, const ln__head *head, int64_t rows, ln_error *err)
{
    size_t norms = ln__conv_norms(head), features = (size_t)ln__head_features(head), map = 1;

    for (int32_t i = 0; i < head->conv.layers; i++)
        map = LN__MAX(map, map_floats(&head->conv.layer[i]));
    memset(b, 0, sizeof *b);
    b->head = head;
    b->features = ln__array(ctx, (size_t)rows, features * sizeof(float));
    b->top = ln__array(ctx, (size_t)rows, features / 2 * sizeof *b->top);
    b->map = ln__array(ctx, map, sizeof(float));
    b->mean = ln__calloc(ctx, norms, sizeof(float));
    b->scale = ln__calloc(ctx, norms, sizeof(float));
    b->spread = ln__calloc(ctx, norms, sizeof(float));
    b->sum = ln__array(ctx, norms, sizeof(float));
    b->other = ln__array(ctx, norms, sizeof(float));
    b->total = ln__calloc(ctx, norms, sizeof(double));
    b->squares = ln__calloc(ctx, norms, sizeof(double));
    if (take_layers(b, ctx, (size_t)rows) && b->features && b->top && b->map && b->mean && b->scale && b->spread && b->sum &&
        b->other && b->total && b->squares)
        return LN_OK;
    ln__conv_batch_free(b, ctx);
    return ln__fail_nomem(err, ctx, (size_t)rows * (size_t)ln__conv_pixels(&head->conv.layer[0]) * sizeof(float));
}

/* ---- Normalising ------------------------------------------------------------------------------------------ */

static void sum_columns(const float *restrict x, int64_t count, int64_t width, float *restrict sum)
{
    memset(sum, 0, (size_t)width * sizeof *sum);
    for (int64_t i = 0; i < count; i++, x += width)
        for (int64_t k = 0; k < width; k++)
            sum[k] += x[k];
}

static void sum_squares(const float *restrict x, const float *restrict mean, int64_t count, int64_t width, float *restrict sum)
{
    memset(sum, 0, (size_t)width * sizeof *sum);
    for (int64_t i = 0; i < count; i++, x += width)
        for (int64_t k = 0; k < width; k++)
            sum[k] += (x[k] - mean[k]) * (x[k] - mean[k]);
}

static void apply(float *restrict x, const float *restrict mean, const float *restrict scale, int64_t count, int64_t width)
{
    for (int64_t i = 0; i < count; i++, x += width)
        for (int64_t k = 0; k < width; k++)
            x[k] = (x[k] - mean[k]) * scale[k];
}

/* Part `part` of the norms, from number `at` on, of x [count][width]. */
static void normalise(ln__conv_batch *b, int part, size_t at, float *x, int64_t count, int64_t width, ln__norm norm)
{
    if (norm == LN__NORM_FIXED) {
        apply(x, b->mean + at, b->scale + at, count, width);
        return;
    }
    sum_columns(x, count, width, b->sum);
    for (int64_t k = 0; k < width; k++)
        b->sum[k] /= (float)count;
    sum_squares(x, b->sum, count, width, b->other);
    for (int64_t k = 0; k < width; k++)
        b->spread[at + (size_t)k] = 1.0f / sqrtf(b->other[k] / (float)count + EPSILON);
    for (int64_t k = 0; norm == LN__NORM_COUNT && k < width; k++) {
        double mean = (double)b->sum[k];

        b->total[at + (size_t)k] += mean * (double)count;
        b->squares[at + (size_t)k] += (double)b->other[k] + mean * mean * (double)count;
    }
    b->counted[part] += norm == LN__NORM_COUNT ? (double)count : 0.0;
    apply(x, b->sum, b->spread + at, count, width);
}

void ln__conv_count_begin(ln__conv_batch *b)
{
    size_t norms = ln__conv_norms(b->head);

    memset(b->total, 0, norms * sizeof *b->total);
    memset(b->squares, 0, norms * sizeof *b->squares);
    memset(b->counted, 0, sizeof b->counted);
}

void ln__conv_count_end(ln__conv_batch *b)
{
    size_t at = 0;

    for (int part = 0; part <= b->head->conv.layers; part++) {
        bool last = part == b->head->conv.layers;
        size_t width = last ? (size_t)ln__head_features(b->head) : (size_t)b->head->conv.layer[part].out;

        for (size_t end = at + width; at < end; at++) {
            double mean = b->total[at] / b->counted[part], variance = b->squares[at] / b->counted[part] - mean * mean;

            b->mean[at] = (float)mean;
            b->scale[at] = (float)(1.0 / sqrt(fmax(variance, 0.0) + (double)EPSILON));
        }
    }
}

/* x becomes d loss / d what was normalised to `normal`, when it is d loss / d normal. */
static void normalise_backward(ln__conv_batch *b, size_t at, float *restrict x, const float *restrict normal, int64_t count,
                               int64_t width)
{
    float *restrict sum = b->sum, *restrict with = b->other;
    const float *restrict scale = b->spread + at;

    memset(sum, 0, (size_t)width * sizeof *sum);
    memset(with, 0, (size_t)width * sizeof *with);
    for (int64_t i = 0; i < count; i++)
        for (int64_t k = 0; k < width; k++) {
            sum[k] += x[i * width + k];
            with[k] += x[i * width + k] * normal[i * width + k];
        }
    for (int64_t k = 0; k < width; k++) {
        sum[k] /= (float)count;
        with[k] /= (float)count;
    }
    for (int64_t i = 0; i < count; i++)
        for (int64_t k = 0; k < width; k++)
            x[i * width + k] = scale[k] * (x[i * width + k] - sum[k] - with[k] * normal[i * width + k]);
}

/* ---- Forward ------------------------------------------------------------------------------------------------ */

static void activate(const float *restrict normal, const float *restrict bias, int64_t count, int64_t width, float *restrict out)
{
    for (int64_t i = 0; i < count; i++)
        for (int64_t k = 0; k < width; k++) {
            float y = normal[i * width + k] + bias[k];

            out[i * width + k] = y < 0.0f ? 0.0f : y;
        }
}

/* A row's map [pixels][channels], and which pixel each maximum is. */
static void read_cells(const ln__head *head, const ln__conv_layer *l, const float *x, float *features, int32_t *top)
{
    int64_t cells = head->cells, area = cells * cells, channels = l->out;
    ln__cell_side v = ln__cell_side_of(l->down, cells), h = ln__cell_side_of(l->across, cells);

    for (int64_t cell = 0; cell < area; cell++)
        for (int64_t c = 0; c < channels; c++) {
            int64_t first = cell / cells * v.step * l->across + cell % cells * h.step, best = first;
            float sum = 0.0f;

            for (int64_t i = 0; i < v.length; i++)
                for (int64_t k = 0; k < h.length; k++) {
                    int64_t pixel = first + i * l->across + k;

                    sum += x[pixel * channels + c];
                    best = x[pixel * channels + c] > x[best * channels + c] ? pixel : best;
                }
            features[c * area + cell] = sum / (float)(v.length * h.length);
            features[(channels + c) * area + cell] = x[best * channels + c];
            top[c * area + cell] = (int32_t)best;
        }
}

ln_status ln__conv_forward(ln__conv_batch *b, const float *params, const ln__maps *maps, int64_t n, ln__norm norm, ln_error *err)
{
    const ln__head *head = b->head;
    int64_t features = ln__head_features(head);
    int32_t i = 0;
    size_t at = 0;

    for (; i < head->conv.layers; i++) {
        const ln__conv_layer *l = &head->conv.layer[i];
        int64_t pixels = ln__conv_pixels(l);

        for (int64_t r = 0; r < n; r++) {
            const float *x = i == 0 ? maps->row(maps->payload, r, b->map) : b->active[i - 1] + (size_t)r * map_floats(l);
            ln__conv_depthwise(l, params, x, l->in, 0, l->in, b->products[i] + r * pixels * l->in);
        }
        ln_status st = ln__gemm(false, false, n * pixels, l->out, l->in, 1.0f, b->products[i], l->in, params + l->pointwise, l->out,
                                0.0f, b->normal[i], l->out, err);
        if (st < 0)
            return st;
        normalise(b, i, at, b->normal[i], n * pixels, l->out, norm);
        activate(b->normal[i], params + l->bias, n * pixels, l->out, b->active[i]);
        at += (size_t)l->out;
    }
    const ln__conv_layer *last = &head->conv.layer[i - 1];
    for (int64_t r = 0; r < n; r++)
        read_cells(head, last, b->active[i - 1] + r * ln__conv_pixels(last) * last->out, b->features + r * features,
                   b->top + r * features / 2);
    normalise(b, i, at, b->features, n, features, norm);
    return LN_OK;
}

/* ---- Backward ------------------------------------------------------------------------------------------------- */

/* d loss / d features of a row to d loss / d map. */
static void spread_cells(const ln__head *head, const ln__conv_layer *l, const float *dfeatures, const int32_t *top, float *dx)
{
    int64_t cells = head->cells, area = cells * cells, channels = l->out;
    ln__cell_side v = ln__cell_side_of(l->down, cells), h = ln__cell_side_of(l->across, cells);

    memset(dx, 0, (size_t)(ln__conv_pixels(l) * channels) * sizeof *dx);
    for (int64_t cell = 0; cell < area; cell++)
        for (int64_t c = 0; c < channels; c++) {
            int64_t first = cell / cells * v.step * l->across + cell % cells * h.step;
            float each = dfeatures[c * area + cell] / (float)(v.length * h.length);

            for (int64_t i = 0; i < v.length; i++)
                for (int64_t k = 0; k < h.length; k++)
                    dx[(first + i * l->across + k) * channels + c] += each;
            dx[top[c * area + cell] * channels + c] += dfeatures[(channels + c) * area + cell];
        }
}

/* d loss / d what is behind the ReLU to d loss / d normal, and that of the bias. */
static void activate_backward(const float *restrict normal, const float *restrict bias, int64_t count, int64_t width,
                              float *restrict x, float *restrict dbias)
{
    for (int64_t i = 0; i < count; i++)
        for (int64_t k = 0; k < width; k++) {
            float d = normal[i * width + k] + bias[k] > 0.0f ? x[i * width + k] : 0.0f;

            x[i * width + k] = d;
            dbias[k] += d;
        }
}

/* From active[i], by then the gradient behind layer i, to that of its params and of what it reads. */
static ln_status layer_backward(ln__conv_batch *b, int32_t i, size_t at, const float *params, const ln__maps *maps, int64_t n,
                                float *grad, ln_error *err)
{
    const ln__conv_layer *l = &b->head->conv.layer[i];
    int64_t pixels = ln__conv_pixels(l), count = n * pixels;
    float *dy = b->active[i], *products = b->products[i];

    activate_backward(b->normal[i], params + l->bias, count, l->out, dy, grad + l->bias);
    normalise_backward(b, at, dy, b->normal[i], count, l->out);
    ln_status st = ln__gemm(true, false, l->in, l->out, count, 1.0f, products, l->in, dy, l->out, 1.0f, grad + l->pointwise, l->out, err);
    if (st == LN_OK)
        st = ln__gemm(false, true, count, l->in, l->out, 1.0f, dy, l->out, params + l->pointwise, l->out, 0.0f, products, l->in, err);
    for (int64_t r = 0; st == LN_OK && r < n; r++) {
        float *before = i == 0 ? NULL : b->active[i - 1] + (size_t)r * map_floats(l);
        const float *x = before ? before : maps->row(maps->payload, r, b->map);

        /* What the layer read makes room for its gradient. */
        if (before)
            x = memcpy(b->map, before, map_floats(l) * sizeof *before);
        ln__conv_depthwise_backward(l, params + l->depthwise, x, products + r * pixels * l->in, grad + l->depthwise, before);
    }
    return st;
}

ln_status ln__conv_backward(ln__conv_batch *b, const float *params, const ln__maps *maps, int64_t n, float *dfeatures, float *grad,
                            ln_error *err)
{
    const ln__head *head = b->head;
    int32_t i = head->conv.layers;
    const ln__conv_layer *last = &head->conv.layer[i - 1];
    int64_t features = ln__head_features(head);
    size_t at = ln__conv_norms(head) - (size_t)features;
    ln_status st = LN_OK;

    normalise_backward(b, at, dfeatures, b->features, n, features);
    for (int64_t r = 0; r < n; r++)
        spread_cells(head, last, dfeatures + r * features, b->top + r * features / 2,
                     b->active[i - 1] + r * ln__conv_pixels(last) * last->out);
    while (st == LN_OK && i-- > 0) {
        at -= (size_t)head->conv.layer[i].out;
        st = layer_backward(b, i, at, params, maps, n, grad, err);
    }
    return st;
}
