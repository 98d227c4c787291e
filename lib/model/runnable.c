/* runnable.c - the model as something to run: folded, fused, cut at its exits. */
#include "model/model.h"

#include <string.h>

void ln__runnable_free(ln__runnable *runnable, const ln__ctx *ctx)
{
    ln__cut_free(runnable->cut, ctx);
    ln__engine_release(runnable->engine);
    ln__graph_free(runnable->folded);
    memset(runnable, 0, sizeof *runnable);
}

ln_status ln__model_fuse(ln__graph **folded, ln__graph **fused, const ln_model *model,
                         int32_t keep, ln_error *err)
{
    int32_t kept[LN__MAX_EXITS + 1], n = 0;
    ln_status st;

    *folded = *fused = NULL;
    for (uint32_t e = 0; e < model->n_exits; e++)
        kept[n++] = model->exits[e].value;
    if (keep != LN__NO_VALUE)
        kept[n++] = keep;
    st = ln__graph_fold(folded, model->graph, kept, n, err);
    if (st == LN_OK)
        st = ln__graph_fuse(fused, *folded, kept, n, err);
    if (st < 0) {
        ln__graph_free(*folded);
        *folded = NULL;
    }
    return st;
}

/* What a stage hands on is kept row by row. */
static ln_status check_stages(const ln__runnable *runnable, const ln_model *model, ln_error *err)
{
    const ln__graph *graph = ln__engine_graph(runnable->engine);
    bool *row = ln__calloc(&model->ctx, (size_t)graph->n_values + 1, sizeof *row);
    ln_status st = row ? ln__graph_row_values(row, graph, err) : ln__fail_nomem(err, &model->ctx, (size_t)graph->n_values);

    for (int32_t s = 0; st == LN_OK && s < runnable->cut->n_stages; s++)
        for (int32_t i = 0; st == LN_OK && i < runnable->cut->stages[s].n_out; i++)
            if (!row[runnable->cut->stages[s].out[i]])
                st = ln__fail(err, LN_E_UNSUPPORTED, "%s: value '%s', which is computed before exit %d and read behind it, has no rows in its "
                              "first dimension; exits cannot stand there", model->path,
                              graph->values[runnable->cut->stages[s].out[i]].name, (int)s);
    ln__free(&model->ctx, row);
    return st;
}

ln_status ln__runnable_new(ln__runnable *out, const ln_model *model, bool keep_classifier_input,
                           const char *kernels, ln_error *err)
{
    int32_t at[LN__MAX_EXITS + 1];
    ln__graph *fused;
    ln_status st;

    memset(out, 0, sizeof *out);
    out->classifier_input = LN__NO_VALUE;
    if (keep_classifier_input)
        out->classifier_input = model->graph->nodes[model->final.node].in[0];
    st = ln__model_fuse(&out->folded, &fused, model, out->classifier_input, err);
    if (st < 0)
        return st;
    fused->n_outputs = 1;       /* the answer: nobody asks for others */
    st = ln__engine_new(&out->engine, &model->ctx, fused, kernels, err);
    if (st < 0)
        goto fail;
    for (uint32_t e = 0; e < model->n_exits; e++)
        at[e] = model->exits[e].value;
    int32_t n = (int32_t)model->n_exits;
    if (keep_classifier_input && (n == 0 || at[n - 1] != out->classifier_input))
        at[n++] = out->classifier_input;    /* the last stage begins at the classifier */
    st = ln__graph_cut(&out->cut, ln__engine_graph(out->engine), at, n, err);
    if (st == LN_OK)
        st = check_stages(out, model, err);
    if (st == LN_OK)
        return LN_OK;
fail:
    ln__runnable_free(out, &model->ctx);
    return st;
}

ln_status ln__model_shared(const ln__runnable **out, ln_model *model, ln_error *err)
{
    ln_status st = LN_OK;

    pthread_mutex_lock(&model->building);
    if (!model->shared.engine)
        st = ln__runnable_new(&model->shared, model, false, model->kernels, err);
    pthread_mutex_unlock(&model->building);
    *out = st == LN_OK ? &model->shared : NULL;
    return st;
}
