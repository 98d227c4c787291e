/* wide.c - linear layers over rows that lie in a large cache. */
#include "train/wide.h"

#include <string.h>

/* Inputs at once, so that a batch of them and their gradient stay in a core's cache. */
enum { MOST_COLUMNS = 1024, LEAST_COLUMNS = 64, GRADIENT = 1 << 17 };

/* How far one step of Adam may move an answer, inputs being about 1 in size. */
static const double MOST_MOVE = 8.0;

/* How far the bias moves, of what all weights together do: so many of them know rows by heart before a bias that moves like one of
 * them has gone anywhere. */
static const float BIAS_SHARE = 0.125f;

struct ln__wide_worker {
    float    *tile;             /* [most][columns] standardised */
    float    *gradient;         /* [outputs][columns] */
    float    *z;                /* [most][outputs] of this worker's columns */
    ln_status status;
    ln_error  error;
};

/* What all workers do now. */
typedef struct wide_call {
    ln__wide       *wide;
    const uint32_t *places;
    size_t          n;
    const float    *dz;
    ln__adam_pace   pace;
} wide_call;

typedef ln_status (*columns_fn)(const wide_call *call, ln__wide_worker *worker, size_t first, size_t count);

static void take_tile(const wide_call *call, float *tile, size_t first, size_t count)
{
    const ln__wide *wide = call->wide;
    const float *restrict mean = wide->mean + first, *restrict scale = wide->scale + first;

    for (size_t i = 0; i < call->n; i++) {
        const float *restrict from = ln__cache_row(wide->x, call->places[i]) + first;
        float *restrict to = tile + i * wide->columns;

        for (size_t k = 0; k < count; k++)
            to[k] = (from[k] - mean[k]) * scale[k];
    }
}

static ln_status forward_columns(const wide_call *call, ln__wide_worker *worker, size_t first, size_t count)
{
    const ln__wide *wide = call->wide;

    take_tile(call, worker->tile, first, count);
    return ln__gemm(false, true, (int64_t)call->n, (int64_t)wide->outputs, (int64_t)count, 1.0f, worker->tile, (int64_t)wide->columns,
                    wide->w + first, (int64_t)wide->inputs, 1.0f, worker->z, (int64_t)wide->outputs, &worker->error);
}

static ln_status step_columns(const wide_call *call, ln__wide_worker *worker, size_t first, size_t count)
{
    ln__wide *wide = call->wide;

    take_tile(call, worker->tile, first, count);
    ln_status st = ln__gemm(true, false, (int64_t)wide->outputs, (int64_t)count, (int64_t)call->n, 1.0f, call->dz, (int64_t)wide->outputs,
                            worker->tile, (int64_t)wide->columns, 0.0f, worker->gradient, (int64_t)wide->columns, &worker->error);
    for (size_t o = 0; st == LN_OK && o < wide->outputs; o++)
        ln__adam_move(&wide->of_w, &call->pace, o * wide->inputs + first, count, wide->w, worker->gradient + o * wide->columns);
    return st;
}

typedef struct wide_work { const wide_call *call; columns_fn columns; } wide_work;

static void work_columns(uint32_t number, void *payload)
{
    const wide_work *work = payload;
    const ln__wide *wide = work->call->wide;
    ln__wide_worker *worker = &wide->worker[number];
    int omp = ln__omp_enter(1);

    worker->status = LN_OK;
    for (size_t first = number * wide->columns; worker->status == LN_OK && first < wide->inputs; first += wide->workers * wide->columns)
        worker->status = work->columns(work->call, worker, first, LN__MIN(wide->columns, wide->inputs - first));
    ln__omp_leave(omp);
}

static ln_status run(const wide_call *call, columns_fn columns, ln_error *err)
{
    const ln__wide *wide = call->wide;
    wide_work work = { call, columns };

    ln__pool_run(wide->pool, wide->workers, work_columns, &work);
    for (uint32_t i = 0; i < wide->workers; i++)
        if (wide->worker[i].status < 0) {
            if (err)
                *err = wide->worker[i].error;
            return wide->worker[i].status;
        }
    return LN_OK;
}

double ln__wide_rate(double rate, size_t inputs)
{
    return LN__MIN(rate, MOST_MOVE / (double)inputs);
}

ln_status ln__wide_forward(ln__wide *wide, const uint32_t *places, size_t n, float *z, ln_error *err)
{
    const wide_call call = { .wide = wide, .places = places, .n = n };

    for (uint32_t i = 0; i < wide->workers; i++)
        memset(wide->worker[i].z, 0, n * wide->outputs * sizeof(float));
    ln_status st = run(&call, forward_columns, err);
    for (size_t i = 0; i < n * wide->outputs; i++) {
        z[i] = wide->bias[i % wide->outputs];
        for (uint32_t k = 0; k < wide->workers; k++)
            z[i] += wide->worker[k].z[i];
    }
    return st;
}

ln_status ln__wide_step(ln__wide *wide, const uint32_t *places, size_t n, const float *dz, float rate, float decay, ln_error *err)
{
    const wide_call call = { .wide = wide, .places = places, .n = n, .dz = dz, .pace = ln__adam_begin(&wide->of_w, rate, decay) };
    float *sum = wide->worker[0].gradient;
    ln_status st = run(&call, step_columns, err);

    for (size_t o = 0; o < wide->outputs; o++) {
        sum[o] = 0.0f;
        for (size_t i = 0; i < n; i++)
            sum[o] += dz[i * wide->outputs + o];
    }
    if (st == LN_OK)
        ln__adam_step(&wide->of_bias, wide->bias, sum, BIAS_SHARE * rate * (float)wide->inputs, 0.0f);
    return st;
}

void ln__wide_free(ln__wide *wide)
{
    if (!wide->ctx)
        return;
    for (uint32_t i = 0; wide->worker && i < wide->workers; i++) {
        ln__free(wide->ctx, wide->worker[i].tile);
        ln__free(wide->ctx, wide->worker[i].gradient);
        ln__free(wide->ctx, wide->worker[i].z);
    }
    void *owned[] = { wide->mean, wide->scale, wide->w, wide->bias, wide->worker };
    for (size_t i = 0; i < LN__COUNT(owned); i++)
        ln__free(wide->ctx, owned[i]);
    ln__adam_free(&wide->of_w, wide->ctx);
    ln__adam_free(&wide->of_bias, wide->ctx);
    memset(wide, 0, sizeof *wide);
}

static ln_status take_memory(ln__wide *wide, ln_error *err)
{
    const ln__ctx *ctx = wide->ctx;
    size_t params;
    bool ok = ln__mul_size(wide->inputs, wide->outputs, &params);
    ln_status st = ok ? ln__adam_new(&wide->of_w, ctx, params, err)
                      : ln__fail(err, LN_E_LIMIT, "%zu outputs of %zu inputs are too many", wide->outputs, wide->inputs);

    if (st == LN_OK)
        st = ln__adam_new(&wide->of_bias, ctx, wide->outputs, err);
    if (st < 0)
        return st;
    wide->mean = ln__array(ctx, wide->inputs, sizeof(float));
    wide->scale = ln__array(ctx, wide->inputs, sizeof(float));
    wide->w = ln__calloc(ctx, params, sizeof(float));
    wide->bias = ln__calloc(ctx, wide->outputs, sizeof(float));
    wide->worker = ln__calloc(ctx, wide->workers, sizeof *wide->worker);
    ok = wide->mean && wide->scale && wide->w && wide->bias && wide->worker;
    for (uint32_t i = 0; ok && i < wide->workers; i++) {
        ln__wide_worker *worker = &wide->worker[i];

        worker->tile = ln__array(ctx, wide->most, wide->columns * sizeof(float));
        worker->gradient = ln__array(ctx, wide->outputs, wide->columns * sizeof(float));
        worker->z = ln__array(ctx, wide->most, wide->outputs * sizeof(float));
        ok = worker->tile && worker->gradient && worker->z;
    }
    return ok ? LN_OK : ln__fail_nomem(err, ctx, params * sizeof(float));
}

static void share_columns(ln__wide *wide)
{
    uint32_t threads = ln__pool_size(wide->pool);
    size_t each = (wide->inputs + threads - 1) / threads, most = LN__MIN((size_t)MOST_COLUMNS, GRADIENT / wide->outputs);

    wide->columns = LN__MAX((size_t)LEAST_COLUMNS, LN__MIN(most, each));
    wide->workers = (uint32_t)LN__MIN((size_t)threads, (wide->inputs + wide->columns - 1) / wide->columns);
}

ln_status ln__wide_new(ln__wide *out, const ln__cache *x, size_t outputs, size_t most, ln__pool *pool, const ln__ctx *ctx,
                       ln_error *err)
{
    *out = (ln__wide){ .ctx = ctx, .pool = pool, .x = x, .inputs = x->width, .outputs = outputs, .most = most };
    share_columns(out);
    ln_status st = take_memory(out, err);
    if (st < 0)
        ln__wide_free(out);
    return st;
}

/* ---- Reading ahead ----------------------------------------------------------------------- */

ln_status ln__ahead_new(ln__ahead *out, const ln__wide *wide, uint32_t count, const ln__ctx *ctx, ln_error *err)
{
    bool useful = false;
    ln_error why;

    for (uint32_t i = 0; i < count; i++)
        useful = useful || ln__cache_brings(wide[i].x);
    *out = (ln__ahead){ .wide = wide, .count = count };
    ln_status st = useful ? ln__pool_new(&out->reader, ctx, 2, &why) : LN_OK;
    if (st == LN_OK || st == LN_E_LIMIT)        /* without a thread rows come when they are touched */
        return LN_OK;
    if (err)
        *err = why;
    return st;
}

static void read_ahead(uint32_t number, void *payload)
{
    const ln__ahead *ahead = payload;

    (void)number;
    for (uint32_t w = 0; w < ahead->count; w++)
        for (size_t i = 0; i < ahead->n; i++)
            ln__cache_bring(ahead->wide[w].x, ahead->places[i]);
}

static void await(const ln__ahead *ahead)
{
    if (ahead->reader)
        ln__pool_wait(ahead->reader);
}

/* When what was asked for before is there. */
static void ask(ln__ahead *ahead, const uint32_t *places, size_t n)
{
    await(ahead);
    ahead->places = places;
    ahead->n = n;
    if (ahead->reader && n > 0)
        ln__pool_start(ahead->reader, read_ahead, ahead);
}

static void leave(const ln__ahead *ahead, const uint32_t *places, size_t n)
{
    for (uint32_t w = 0; w < ahead->count; w++)
        for (size_t i = 0; i < n; i++)
            ln__cache_leave(ahead->wide[w].x, places[i]);
}

ln_status ln__ahead_walk(ln__ahead *ahead, const uint32_t *places, size_t rows, size_t batch, ln__batch_fn work, void *payload, ln_error *err)
{
    ln_status st = LN_OK;

    ask(ahead, places, LN__MIN(batch, rows));
    for (size_t first = 0, n; st == LN_OK && first < rows; first += n) {
        n = LN__MIN(batch, rows - first);
        ask(ahead, places + first + n, LN__MIN(batch, rows - first - n));
        st = work(payload, places + first, n, err);
        leave(ahead, places + first, n);
    }
    await(ahead);
    return st;
}

void ln__ahead_free(ln__ahead *ahead)
{
    ln__pool_free(ahead->reader);
    ahead->reader = NULL;
}
