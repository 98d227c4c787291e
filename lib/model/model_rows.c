/* model_rows.c - rows of a data set as a model wants them. */
#include "model/model.h"

#include <string.h>

typedef struct reading { ln__reader *reader; size_t *rows; int32_t *labels, *map; } reading;

static void reading_free(reading *r, const ln__ctx *ctx)
{
    ln__reader_close(r->reader);
    ln__free(ctx, r->rows);
    ln__free(ctx, r->labels);
    ln__free(ctx, r->map);
}

static ln_status reading_init(reading *r, const ln_model *model, ln_data *data, size_t first, size_t count, ln_error *err)
{
    ln__feed feed = ln__model_feed(model);
    ln_status st = ln__model_match_classes(&r->map, NULL, model, data, err);

    if (st < 0)
        return st;
    r->rows = ln__array(&model->ctx, count, sizeof *r->rows);
    r->labels = ln__array(&model->ctx, count, sizeof *r->labels);
    if (!r->rows || !r->labels)
        return ln__fail_nomem(err, &model->ctx, count * sizeof *r->rows);
    return ln__reader_open(&r->reader, data, &feed, count, first, count, err);
}

/* Left-out rows close up in what the reader gives: the last of the n rows are put in place first. */
static ln_status spread(const reading *r, const ln_data *data, size_t first, size_t n, size_t row, float *inputs, int32_t *labels, ln_error *err)
{
    uint32_t classes = ln_data_class_count(data);

    for (size_t i = n; i-- > 0;) {
        size_t at = r->rows[i] - first;

        if (r->labels[i] < 0 || (uint32_t)r->labels[i] >= classes)
            return ln__fail(err, LN_E_ARGUMENT, "label %d of row %zu; the data has classes 0..%u", r->labels[i], r->rows[i], classes - 1);
        if (labels)
            labels[at] = r->map[r->labels[i]];
        if (at == i)
            continue;
        memcpy(inputs + at * row, inputs + i * row, row * sizeof *inputs);
        memset(inputs + i * row, 0, row * sizeof *inputs);
    }
    return LN_OK;
}

ln_status ln__model_read_rows(const ln_model *model, ln_data *data, size_t first, size_t count, float *inputs, int32_t *labels, ln_error *err)
{
    size_t row = (size_t)model->channels * model->height * model->width, n = 0;
    reading r = { NULL, NULL, NULL, NULL };

    if (count == 0 || first >= ln_data_rows(data) || count > ln_data_rows(data) - first)
        return ln__fail(err, LN_E_ARGUMENT, "rows %zu..%zu; the data set has %zu", first, first + (count ? count - 1 : 0), ln_data_rows(data));
    ln_status st = reading_init(&r, model, data, first, count, err);
    if (st == LN_OK) {
        memset(inputs, 0, count * row * sizeof *inputs);
        for (size_t i = 0; labels && i < count; i++)
            labels[i] = -1;
        st = ln__reader_next(r.reader, inputs, r.labels, r.rows, &n, err);
    }
    if (st >= 0)
        st = spread(&r, data, first, n, row, inputs, labels, err);
    reading_free(&r, &model->ctx);
    return st < 0 ? st : n < count ? LN_SKIPPED : LN_OK;
}
