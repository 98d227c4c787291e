/* tune_kernels.c - ln_model_tune: the engine's measured choice of kernels, kept in the model. */
#include "train/train.h"

#include <math.h>

typedef struct watching { ln__reporter reporter; ln_progress progress; } watching;

static ln_status watch(uint32_t done, uint32_t total, void *payload, ln_error *err)
{
    watching *w = payload;

    w->progress.done = done;
    w->progress.total = total;
    return ln__report(&w->reporter, &w->progress, done == total, err);
}

ln_status ln__model_tune(ln_model *model, const ln_tune_options *options, ln_error *err)
{
    watching w = { ln__reporter_make(options->progress, options->progress_payload), ln__progress_make("tune") };
    ln__graph *folded, *fused;
    ln__buffer text;
    ln_status st = ln__model_change(model, "ln_model_tune", err);

    w.progress.rows_per_second = NAN;   /* steps are counted, some of them left out */
    if (st == LN_OK)
        st = ln__model_fuse(&folded, &fused, model, LN__NO_VALUE, err);
    if (st < 0)
        return st;
    ln__buffer_init(&text, &model->ctx);
    st = ln__engine_tune(&text, &model->ctx, fused, options->threads ? options->threads : 1, watch, &w, err);
    ln__graph_free(fused);
    ln__graph_free(folded);
    ln__buffer_put(&text, "", 1);
    char *kernels = st == LN_OK && text.ok ? ln__strdup(&model->ctx, (char *)text.data) : NULL;
    ln__buffer_free(&text);
    if (st == LN_OK && !kernels)
        st = ln__fail_nomem(err, &model->ctx, 1);
    if (st < 0)
        return st;
    ln__free(&model->ctx, model->kernels);
    model->kernels = kernels;
    return LN_OK;
}
