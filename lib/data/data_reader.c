/* data_reader.c - rows in order, decoded ahead by threads into a ring.
 *
 * Row i of the reader goes through slot i % slots. Threads take rows in order,
 * but never a row whose slot still holds one the caller has not had; the
 * caller takes slots in order. So the order is that of the data set whatever
 * the threads do, and memory is bounded by the ring. */
#include "data/data_private.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>

#define USUAL_THREADS 4
#define RING_BYTES ((size_t)64 << 20)

typedef struct slot {
    float *input;
    bool done;
    ln_status status;
    ln_error error;
} slot;

struct ln__reader {
    ln_data *data;
    ln__feed feed;
    size_t batch, first, count;
    size_t input_size;          /* numbers a row */
    size_t consumed;            /* rows the caller had, bad ones too */
    ln_status failed;           /* sticky */
    ln_error failure;

    float *inputs;              /* the slots' */
    slot *slots;
    size_t n_slots;
    pthread_t *threads;
    uint32_t n_threads;         /* 0: rows are read in the caller's thread */

    pthread_mutex_t lock;       /* guards the rest, consumed and slots[].done */
    pthread_cond_t room, ready;
    bool has_lock, has_room, has_ready;
    size_t taken;
    bool stop;
};

static ln_status read_row(const ln__reader *r, size_t row, float *input, ln_error *err)
{
    const ln_data *data = r->data;
    ln__decode_limits limits = { data->options.max_pixels, r->feed.preprocess.resize };
    ln__picture picture = { 0 };
    ln_status st;

    if (!data->picture) {
        memcpy(input, data->arrays.inputs + row * r->input_size, r->input_size * sizeof *input);
        return LN_OK;
    }
    st = data->picture(data, row, &limits, &picture, err);
    if (st < 0)
        return st;
    st = ln__picture_preprocess(input, &picture, &r->feed.preprocess, r->feed.channels, &data->ctx, err);
    ln__picture_free(&picture, &data->ctx);
    if (st < 0 && data->rows)
        ln__fail_prefix(err, st, "%s", data->rows[row].name);
    else if (st < 0)
        ln__fail_prefix(err, st, "row %zu", row);
    return st;
}

static void *work(void *payload)
{
    ln__reader *r = payload;

    pthread_mutex_lock(&r->lock);
    for (;;) {
        slot *s;
        size_t row;
        while (!r->stop && r->taken < r->count && r->taken >= r->consumed + r->n_slots)
            pthread_cond_wait(&r->room, &r->lock);
        if (r->stop || r->taken == r->count)
            break;
        row = r->taken++;
        s = &r->slots[row % r->n_slots];
        pthread_mutex_unlock(&r->lock);
        s->status = read_row(r, r->first + row, s->input, &s->error);
        pthread_mutex_lock(&r->lock);
        s->done = true;
        pthread_cond_signal(&r->ready);
    }
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

/* ---- Opening ------------------------------------------------------------------- */

static ln_status check_feed(const ln_data *data, const ln__feed *feed, ln_error *err)
{
    bool arrays = !data->picture && !data->callback.read;
    uint32_t channels = arrays ? data->arrays.channels : data->callback.channels;
    uint32_t height = arrays ? data->arrays.height : data->callback.height;
    uint32_t width = arrays ? data->arrays.width : data->callback.width;

    if (data->picture) {
        if (feed->channels != 1 && feed->channels != 3)
            return ln__fail(err, LN_E_MISMATCH, "%s: pictures have 1 or 3 channels, the network reads %u",
                            data->source, feed->channels);
        if (feed->preprocess.crop_height != feed->height || feed->preprocess.crop_width != feed->width)
            return ln__fail(err, LN_E_MISMATCH, "%s: pictures are cropped to %u x %u, the network reads %u x %u",
                            data->source, feed->preprocess.crop_height, feed->preprocess.crop_width,
                            feed->height, feed->width);
    } else if (channels != feed->channels || height != feed->height || width != feed->width) {
        return ln__fail(err, LN_E_MISMATCH, "%s: rows are %u x %u x %u, the network reads %u x %u x %u",
                        data->source, channels, height, width, feed->channels, feed->height, feed->width);
    }
    return LN_OK;
}

static uint32_t thread_count(const ln__reader *r)
{
    const ln_data *data = r->data;
    uint32_t asked = data->options.threads ? data->options.threads : LN__MIN(ln__cpu_count(), USUAL_THREADS);

    if (!data->picture || r->count < 2)
        return 0;
    return (uint32_t)LN__MIN(asked, r->count);
}

static ln_status make_ring(ln__reader *r, uint32_t threads, ln_error *err)
{
    const ln__ctx *ctx = &r->data->ctx;
    size_t fit = RING_BYTES / (r->input_size * sizeof(float)), bytes;

    r->n_slots = LN__MAX(LN__MIN(fit, 2 * LN__MIN(r->batch, r->count)), (size_t)threads * 2);
    r->n_slots = LN__MIN(r->n_slots, r->count);
    r->slots = ln__calloc(ctx, r->n_slots, sizeof *r->slots);
    r->threads = ln__array(ctx, threads, sizeof *r->threads);
    if (!r->slots || !r->threads)
        return ln__fail_nomem(err, ctx, r->n_slots * sizeof *r->slots);
    if (!ln__mul_size(r->n_slots, r->input_size * sizeof(float), &bytes) || !(r->inputs = ln__alloc(ctx, bytes)))
        return ln__fail_nomem(err, ctx, r->n_slots * r->input_size * sizeof(float));
    for (size_t i = 0; i < r->n_slots; i++)
        r->slots[i].input = r->inputs + i * r->input_size;
    r->has_lock = pthread_mutex_init(&r->lock, NULL) == 0;
    r->has_room = pthread_cond_init(&r->room, NULL) == 0;
    r->has_ready = pthread_cond_init(&r->ready, NULL) == 0;
    return r->has_lock && r->has_room && r->has_ready ? LN_OK : ln__fail_nomem(err, ctx, 0);
}

/* The host's signals are not for our threads. Fewer threads than wished do as
 * well; with none the caller's reads. */
static void start_threads(ln__reader *r, uint32_t threads)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (r->n_threads < threads && pthread_create(&r->threads[r->n_threads], NULL, work, r) == 0)
        r->n_threads++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

ln_status ln__reader_open(ln__reader **out, ln_data *data, const ln__feed *feed, size_t batch,
                          size_t first, size_t count, ln_error *err)
{
    ln__reader *r;
    uint32_t threads;
    ln_status st;

    *out = NULL;
    if (batch == 0 || first > data->count || count > data->count - first)
        return ln__fail(err, LN_E_ARGUMENT, "%s: rows %zu to %zu in batches of %zu; there are %zu rows", data->source,
                        first, first + count, batch, data->count);
    st = check_feed(data, feed, err);
    if (st < 0)
        return st;
    r = ln__calloc(&data->ctx, 1, sizeof *r);
    if (!r)
        return ln__fail_nomem(err, &data->ctx, sizeof *r);
    r->data = ln__data_retain(data);
    r->feed = *feed;
    r->batch = batch;
    r->first = first;
    r->count = count;
    if (!ln__mul_size((size_t)feed->height * feed->width, feed->channels, &r->input_size) ||
        r->input_size > SIZE_MAX / sizeof(float)) {
        st = ln__fail_nomem(err, &data->ctx, SIZE_MAX);
        goto fail;
    }
    threads = thread_count(r);
    st = threads == 0 ? LN_OK : make_ring(r, threads, err);
    if (st < 0)
        goto fail;
    start_threads(r, threads);
    *out = r;
    return LN_OK;
fail:
    ln__reader_close(r);
    return st;
}

void ln__reader_close(ln__reader *r)
{
    ln_data *data;

    if (!r)
        return;
    data = r->data;
    if (r->n_threads > 0) {
        pthread_mutex_lock(&r->lock);
        r->stop = true;
        pthread_cond_broadcast(&r->room);
        pthread_mutex_unlock(&r->lock);
    }
    for (uint32_t i = 0; i < r->n_threads; i++)
        pthread_join(r->threads[i], NULL);
    if (r->has_lock)
        pthread_mutex_destroy(&r->lock);
    if (r->has_room)
        pthread_cond_destroy(&r->room);
    if (r->has_ready)
        pthread_cond_destroy(&r->ready);
    ln__free(&data->ctx, r->inputs);
    ln__free(&data->ctx, r->slots);
    ln__free(&data->ctx, r->threads);
    ln__free(&data->ctx, r);
    ln__data_free(data);
}

/* ---- Reading ------------------------------------------------------------------- */

/* A picture that is bad, in contrast to a machine that is. */
static bool may_skip(const ln_data *data, ln_status st)
{
    return data->options.skip_bad && (st == LN_E_IO || st == LN_E_FORMAT || st == LN_E_UNSUPPORTED ||
                                      st == LN_E_LIMIT || st == LN_E_MISMATCH);
}

/* The next row, whatever it is, into input. */
static ln_status next_row(ln__reader *r, float *input, ln_error *err)
{
    slot *s;
    ln_status st;

    if (r->n_threads == 0) {
        st = read_row(r, r->first + r->consumed, input, err);
        r->consumed++;
        return st;
    }
    s = &r->slots[r->consumed % r->n_slots];
    pthread_mutex_lock(&r->lock);
    while (!s->done)
        pthread_cond_wait(&r->ready, &r->lock);
    pthread_mutex_unlock(&r->lock);
    st = s->status;
    if (st < 0)
        *err = s->error;
    else
        memcpy(input, s->input, r->input_size * sizeof *input);
    pthread_mutex_lock(&r->lock);
    s->done = false;
    r->consumed++;
    pthread_cond_signal(&r->room);
    pthread_mutex_unlock(&r->lock);
    return st;
}

static ln_status read_pictures(ln__reader *r, float *inputs, int32_t *labels, size_t *rows, size_t *n,
                               ln_error *err)
{
    while (*n < r->batch && r->consumed < r->count) {
        size_t row = r->first + r->consumed;
        ln_status st = next_row(r, inputs + *n * r->input_size, err);
        if (may_skip(r->data, st)) {
            st = ln__data_skip(r->data, row, err->text, err);
            if (st < 0)
                return st;
            continue;
        }
        if (st < 0)
            return st;
        labels[*n] = ln__data_label(r->data, row);
        if (rows)
            rows[*n] = row;
        ++*n;
    }
    return LN_OK;
}

static ln_status read_callback(ln__reader *r, float *inputs, int32_t *labels, size_t *rows, size_t *n,
                               ln_error *err)
{
    ln_data *data = r->data;
    size_t first = r->first + r->consumed, count = LN__MIN(r->batch, r->count - r->consumed);
    int code;

    if (count == 0)
        return LN_OK;
    pthread_mutex_lock(&data->lock);
    code = data->callback.read(first, count, inputs, labels, data->callback.payload);
    pthread_mutex_unlock(&data->lock);
    if (code != 0)
        return ln__fail(err, LN_E_CALLBACK, "the callback returned %d for rows %zu to %zu", code, first,
                        first + count - 1);
    for (size_t i = 0; i < count; i++) {
        if (labels[i] < 0 || (uint32_t)labels[i] >= data->classes)
            return ln__fail(err, LN_E_CALLBACK, "the callback gave label %d for row %zu; 0 to %u are possible",
                            labels[i], first + i, data->classes - 1);
        if (rows)
            rows[i] = first + i;
    }
    r->consumed += count;
    *n = count;
    return LN_OK;
}

ln_status ln__reader_next(ln__reader *r, float *inputs, int32_t *labels, size_t *rows,
                          size_t *n, ln_error *err)
{
    size_t got = 0;

    *n = 0;
    if (r->failed == LN_OK)
        r->failed = r->data->callback.read ? read_callback(r, inputs, labels, rows, &got, &r->failure)
                                           : read_pictures(r, inputs, labels, rows, &got, &r->failure);
    if (r->failed < 0) {
        if (err)
            *err = r->failure;
        return r->failed;
    }
    *n = got;
    return LN_OK;
}
