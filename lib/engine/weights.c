/* weights.c - constants in the order kernels want, made once an engine and
 * shared by all its plans. */
#include "engine/plan.h"

#include <string.h>

typedef enum packed_kind { FOR_DNN, VECTOR, TILED } packed_kind;

struct ln__packed {
    packed_kind kind;
    int32_t node, input;
    ln__dnn_desc *desc;         /* FOR_DNN */
    int64_t floats;             /* VECTOR; TILED: Winograd's edge */
    float factor;               /* VECTOR */
    void *data;
    ln__packed *next;
};

static void packed_free(ln__engine *engine, ln__packed *p)
{
    if (!p)
        return;
    ln__dnn_desc_free(p->desc);
    ln__free(&engine->ctx, p->data);
    ln__free(&engine->ctx, p);
}

void ln__weights_free(ln__engine *engine)
{
    while (engine->packed) {
        ln__packed *next = engine->packed->next;
        packed_free(engine, engine->packed);
        engine->packed = next;
    }
}

/* The weights as aligned floats, scaled: theirs where they are so already, else a copy. */
static const float *plain_floats(const ln__engine *engine, const ln__tensor *plain,
                                 const ln__tensor *scale, float **copy)
{
    int64_t n, per, channels = plain->rank ? plain->dim[0] : 1;
    *copy = NULL;
    if (!scale && (uintptr_t)plain->data % sizeof(float) == 0)
        return plain->data;
    if (!ln__tensor_elements(plain, &n) || !(*copy = ln__array(&engine->ctx, (size_t)n, sizeof(float))))
        return NULL;
    memcpy(*copy, plain->data, (size_t)n * sizeof(float));
    per = channels ? n / channels : 0;
    for (int64_t c = 0; scale && c < channels; c++) {
        float s;
        memcpy(&s, (const char *)scale->data + (size_t)c * sizeof s, sizeof s);
        for (int64_t i = c * per; i < (c + 1) * per; i++)
            (*copy)[i] *= s;
    }
    return *copy;
}

static ln_status pack(ln__packed *p, ln__engine *engine, const ln__dnn_op *op, const ln__tensor *plain,
                      const ln__tensor *scale, bool transposed, ln__dnn_status *status)
{
    float *copy;
    p->data = ln__alloc(&engine->ctx, ln__dnn_weights_bytes(op));
    const float *from = p->data ? plain_floats(engine, plain, scale, &copy) : NULL;
    if (!from)
        return LN_E_NOMEM;
    *status = ln__dnn_weights_desc(&p->desc, op);
    if (!*status)
        *status = ln__dnn_pack(op, transposed, from, p->data);
    ln__free(&engine->ctx, copy);
    return *status ? LN_E_BACKEND : LN_OK;
}

ln_status ln__weights_get(const void **out, ln__engine *engine, int32_t node, const ln__dnn_op *op,
                          const ln__tensor *plain, const ln__tensor *scale, bool transposed,
                          ln__dnn_status *status)
{
    ln_status st = LN_OK;
    *status = 0;
    pthread_mutex_lock(&engine->lock);
    ln__packed *p = engine->packed;
    while (p && !(p->node == node && p->kind == FOR_DNN && ln__dnn_weights_match(op, p->desc)))
        p = p->next;
    if (!p) {
        p = ln__calloc(&engine->ctx, 1, sizeof *p);
        st = p ? pack(p, engine, op, plain, scale, transposed, status) : LN_E_NOMEM;
        if (st) {
            packed_free(engine, p);
        } else {
            p->node = node;
            p->next = engine->packed;
            engine->packed = p;
        }
    }
    if (!st)
        *out = p->data;
    pthread_mutex_unlock(&engine->lock);
    return st;
}

static float *vector_copy(const ln__engine *engine, const ln__tensor *plain, int64_t floats, float factor)
{
    int64_t n;
    float *data = ln__calloc(&engine->ctx, (size_t)floats, sizeof(float));
    if (!data || !ln__tensor_elements(plain, &n))
        return data;
    n = LN__MIN(n, floats);
    memcpy(data, plain->data, (size_t)n * sizeof(float));
    for (int64_t i = 0; i < n; i++)
        data[i] *= factor;
    return data;
}

ln_status ln__weights_vector(const float **out, ln__engine *engine, int32_t node, int32_t input,
                             const ln__tensor *plain, int64_t floats, float factor)
{
    ln_status st = LN_OK;
    pthread_mutex_lock(&engine->lock);
    ln__packed *p = engine->packed;
    while (p && !(p->node == node && p->kind == VECTOR && p->input == input && p->floats == floats && p->factor == factor))
        p = p->next;
    if (!p) {
        p = ln__calloc(&engine->ctx, 1, sizeof *p);
        if (!p || !(p->data = vector_copy(engine, plain, floats, factor))) {
            packed_free(engine, p);
            st = LN_E_NOMEM;
        } else {
            *p = (ln__packed){ VECTOR, node, input, NULL, floats, factor, p->data, engine->packed };
            engine->packed = p;
        }
    }
    if (!st)
        *out = p->data;
    pthread_mutex_unlock(&engine->lock);
    return st;
}

ln_status ln__weights_tiled(const void **out, ln__engine *engine, int32_t node, const ln__tensor *plain,
                            const ln__tensor *scale, int64_t edge)
{
    ln_status st = LN_OK;
    pthread_mutex_lock(&engine->lock);
    ln__packed *p = engine->packed;
    while (p && !(p->node == node && p->kind == TILED && p->floats == edge))
        p = p->next;
    if (!p) {
        p = ln__calloc(&engine->ctx, 1, sizeof *p);
        if (!p || !(p->data = ln__array(&engine->ctx, (size_t)ln__tile_floats(plain, edge, engine->block), sizeof(float)))) {
            packed_free(engine, p);
            st = LN_E_NOMEM;
        } else {
            ln__tile_pack(p->data, plain, scale, edge, engine->block);
            *p = (ln__packed){ TILED, node, 1, NULL, edge, 0.0F, p->data, engine->packed };
            engine->packed = p;
        }
    }
    if (!st)
        *out = p->data;
    pthread_mutex_unlock(&engine->lock);
    return st;
}
