/* case_run.c - one case through onnx, graph and engine, as a session would. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conformance.h"
#include "engine/engine.h"
#include "onnx/parsed.h"

/* ---- Memory ---------------------------------------------------------------- */

static void *heap_alloc(size_t size, size_t align, void *payload)
{
    heap *h = payload;
    void *p = NULL;
    h->most_asked = LN__MAX(h->most_asked, size);
    if (size > HEAP_CAP || h->live + size > HEAP_CAP ||
        posix_memalign(&p, LN__MAX(align, sizeof p), size) != 0)
        return NULL;
    h->live += size;
    return p;
}

static void heap_release(void *ptr, size_t size, void *payload)
{
    ((heap *)payload)->live -= size;
    free(ptr);
}

ln_allocator heap_allocator(heap *h)
{
    return (ln_allocator){ heap_alloc, heap_release, h };
}

/* ---- A case ------------------------------------------------------------------ */

typedef struct work {
    ln__ctx     ctx;
    ln__onnx   *onnx;
    ln__graph  *source, *folded;
    const ln__graph *graph;     /* fused; the engine's */
    ln__shapes *shapes;         /* of graph */
    ln__cut    *cut;
    ln__engine *engine;
    ln__plan   *plan;
    case_tensor in[MAX_TENSORS], out[MAX_TENSORS];
    const char *name[MAX_TENSORS];  /* of in[] in the model */
    int32_t     n_in, n_out;
    ln__binding bound[MAX_TENSORS];
    size_t      n_bound;
    int64_t     rows;
    float      *in_data[MAX_TENSORS], *out_data[MAX_TENSORS];   /* as the stage's in[] and out[] */
    void       *arena;
} work;

static void work_free(work *w)
{
    ln__plan_free(w->plan);
    ln__cut_free(w->cut, &w->ctx);
    ln__shapes_free(w->shapes, &w->ctx);
    ln__engine_release(w->engine);
    ln__graph_free(w->folded);
    ln__graph_free(w->source);
    ln__onnx_free(w->onnx);
    free(w->arena);
    for (int i = 0; i < MAX_TENSORS; i++) {
        free(w->in_data[i]);
        free(w->out_data[i]);
        tensor_free(&w->in[i]);
        tensor_free(&w->out[i]);
    }
}

/* Every step below returns false once the verdict is known. */
static bool say(verdict *v, outcome o, const char *format, ...) LN__PRINTF(3, 4);
static bool say(verdict *v, outcome o, const char *format, ...)
{
    va_list args;
    v->outcome = o;
    va_start(args, format);
    vsnprintf(v->text, sizeof v->text, format, args);
    va_end(args);
    return false;
}

static bool check(verdict *v, ln_status status, const ln_error *err)
{
    if (status >= 0)
        return true;
    if (err->text[0] == '\0')
        return say(v, WRONG, "%s without a message", ln_status_name(status));
    return say(v, REFUSED, "%.480s", err->text);
}

/* Reads <folder>/test_data_set_0/<what>_0.pb and so on. */
static bool read_tensors(verdict *v, case_tensor *tensors, int32_t *count, const char *folder, const char *what)
{
    char path[MAX_PATH], why[256];
    bool absent = false;
    for (int32_t i = 0; i < MAX_TENSORS; i++) {
        snprintf(path, sizeof path, "%s/test_data_set_0/%s_%d.pb", folder, what, (int)i);
        bool read = tensor_read(&tensors[i], path, why, &absent);
        if (absent)
            return true;
        if (!read)
            return say(v, REFUSED, "%s_%d.pb: %s", what, (int)i, why);
        *count = i + 1;
    }
    return true;
}

/* True if a node takes that graph input where the operator table wants a constant. */
static bool must_be_known(const ln__onnx *onnx, const char *name)
{
    const ln__onnx_operator *o;
    for (int32_t k = 0; k < onnx->n_nodes; k++) {
        const ln__onnx_node *node = &onnx->nodes[k];
        for (int32_t i = 0; i < node->n_in && i < 32; i++) {
            if (strcmp(node->in[i], name) != 0)
                continue;
            for (size_t r = 0; (o = ln__onnx_operator_at(r)) != NULL; r++)
                if (strcmp(o->name, node->type) == 0 && (o->const_inputs >> i & 1) != 0)
                    return true;
        }
    }
    return false;
}

/* Weights, shapes and integers that the case feeds as inputs become constants:
 * what an operator must know before it runs. */
static void bind_constants(work *w)
{
    int32_t k = 0;
    for (int32_t i = 0; i < w->onnx->n_inputs && k < w->n_in; i++) {
        const ln__onnx_value *input = &w->onnx->inputs[i];
        if (input->initializer >= 0)
            continue;
        w->name[k] = input->name;
        if (!tensor_is_float(&w->in[k]) || must_be_known(w->onnx, input->name))
            w->bound[w->n_bound++] = (ln__binding){ input->name, w->in[k].t };
        k++;
    }
}

/* The case's tensor for a graph input that is known only when run; NULL: bound. */
static const case_tensor *tensor_of(const work *w, const ln__graph *graph, int32_t value)
{
    if (graph->values[value].constant != NULL)
        return NULL;
    for (int32_t k = 0; k < w->n_in; k++)
        if (w->name[k] != NULL && strcmp(w->name[k], graph->values[value].name) == 0)
            return &w->in[k];
    return NULL;
}

static int64_t first_dimension(const work *w)
{
    for (int32_t i = 0; i < w->source->n_inputs; i++) {
        const case_tensor *t = tensor_of(w, w->source, w->source->inputs[i].value);
        if (t != NULL && t->t.rank > 0)
            return t->t.dim[0];
    }
    return 1;
}

/* The library takes the declared shape with the rows put in; a case that feeds
 * another is refused here. */
static bool inputs_fit(verdict *v, const work *w, const ln__graph *graph)
{
    char want[128], got[128];
    for (int32_t i = 0; i < graph->n_inputs; i++) {
        int32_t value = graph->inputs[i].value;
        const case_tensor *t = tensor_of(w, graph, value);
        const ln__tensor *is = &w->shapes->of[value];
        if (t == NULL || (t->t.rank == is->rank &&
                          (is->rank == 0 || memcmp(t->t.dim, is->dim, (size_t)is->rank * sizeof is->dim[0]) == 0)))
            continue;
        return say(v, REFUSED, "input '%s' is %s for %lld rows, the case feeds %s", graph->values[value].name,
                   ln__shape_text(want, is), (long long)w->rows, ln__shape_text(got, &t->t));
    }
    return true;
}

static bool infer(verdict *v, work *w, const ln__graph *graph)
{
    ln_error err = { 0 };
    ln__shapes_free(w->shapes, &w->ctx);
    w->shapes = NULL;
    return check(v, ln__shapes_infer(&w->shapes, graph, w->rows, &err), &err) && inputs_fit(v, w, graph);
}

/* Rows are the first dimension of the inputs; where the model has no rows (its
 * shapes are fixed and mixed in ways a batch cannot be), the whole is one row. */
static bool find_rows(verdict *v, work *w)
{
    verdict as_one = { .outcome = PASS };
    w->rows = LN__MAX(first_dimension(w), 1);
    if (infer(v, w, w->source))
        return true;
    w->rows = 1;
    if (!infer(&as_one, w, w->source))
        return false;
    *v = as_one;
    return true;
}

static bool build_graph(verdict *v, work *w)
{
    ln_error err = { 0 };
    ln__graph *fused = NULL;
    if (!check(v, ln__onnx_graph(&w->source, w->onnx, w->bound, w->n_bound, &err), &err) || !find_rows(v, w))
        return false;
    if (!check(v, ln__graph_fold(&w->folded, w->source, NULL, 0, &err), &err) ||
        !check(v, ln__graph_fuse(&fused, w->folded, NULL, 0, &err), &err) ||
        !check(v, ln__engine_new(&w->engine, &w->ctx, fused, NULL, &err), &err))
        return false;
    w->graph = ln__engine_graph(w->engine);
    return infer(v, w, w->graph) &&
           check(v, ln__graph_cut(&w->cut, w->graph, NULL, 0, &err), &err) &&
           check(v, ln__plan_new(&w->plan, w->engine, w->cut, 0, w->rows, 1, &err), &err);
}

/* ---- Running ------------------------------------------------------------------- */

/* Between row-major numbers and an engine's layout. */
static void view_copy(const ln__view *view, float *plain, bool to_view)
{
    size_t row = ln__view_row_floats(view);
    for (int64_t n = 0; n < view->rows; n++)
        for (int64_t c = 0; c < view->channels; c++)
            for (int64_t s = 0; s < view->spatial; s++) {
                size_t at = (size_t)n * row +
                            (size_t)((c / view->block * view->spatial + s) * view->block + c % view->block);
                float *p = plain + (n * view->channels + c) * view->spatial + s;
                if (to_view)
                    view->data[at] = *p;
                else
                    *p = view->data[at];
            }
}

static bool view_of(verdict *v, ln__view *view, float **data, const work *w, int32_t value)
{
    ln_error err = { 0 };
    int64_t elements = 0;
    if (!check(v, ln__engine_view(view, w->engine, value, w->rows, &err), &err))
        return false;
    if (!ln__tensor_elements(&w->shapes->of[value], &elements) ||
        elements != view->rows * view->channels * view->spatial)
        return say(v, WRONG, "the layout of '%s' has %lld x %lld x %lld numbers, the value %lld",
                   w->graph->values[value].name, (long long)view->rows, (long long)view->channels,
                   (long long)view->spatial, (long long)elements);
    void *p = NULL;
    size_t bytes = (size_t)view->rows * ln__view_row_floats(view) * sizeof(float);
    if (posix_memalign(&p, 64, bytes + 64) != 0)
        return say(v, REFUSED, "no memory for '%s'", w->graph->values[value].name);
    memset(p, 0, bytes + 64);
    *data = view->data = p;
    return true;
}

static bool run_plan(verdict *v, work *w)
{
    const ln__stage *stage = &w->cut->stages[0];
    ln_error err = { 0 };
    ln__view view;
    if (stage->n_in > MAX_TENSORS || stage->n_out > MAX_TENSORS)
        return say(v, REFUSED, "more than %d inputs or outputs", (int)MAX_TENSORS);
    for (int32_t i = 0; i < stage->n_in; i++) {
        const case_tensor *t = tensor_of(w, w->graph, stage->in[i]);
        if (t == NULL)
            return say(v, WRONG, "the stage reads '%s', which is no input", w->graph->values[stage->in[i]].name);
        if (!view_of(v, &view, &w->in_data[i], w, stage->in[i]))
            return false;
        view_copy(&view, t->data, true);
    }
    for (int32_t i = 0; i < stage->n_out; i++)
        if (!view_of(v, &view, &w->out_data[i], w, stage->out[i]))
            return false;
    if (posix_memalign(&w->arena, 64, ln__plan_arena(w->plan) + 64) != 0)
        return say(v, REFUSED, "no memory for the plan");
    int before = ln__omp_enter(1);
    ln_status status = ln__plan_run(w->plan, w->arena, w->in_data, w->out_data, &err);
    ln__omp_leave(before);
    return check(v, status, &err);
}

static bool compare_output(verdict *v, const work *w, int32_t i)
{
    const ln__stage *stage = &w->cut->stages[0];
    int32_t value = w->graph->outputs[i];
    ln__tensor got = w->shapes->of[value];
    const case_tensor *input = tensor_of(w, w->graph, value);
    float *plain = NULL;
    char why[256];
    int32_t at = 0;

    while (at < stage->n_out && stage->out[at] != value)
        at++;
    if (got.data == NULL && w->graph->values[value].producer < 0 && input != NULL) {
        got.data = input->data;
    } else if (got.data == NULL) {
        ln__view view;
        ln_error err = { 0 };
        if (at == stage->n_out)
            return say(v, WRONG, "no stage makes output %d", (int)i);
        if (!check(v, ln__engine_view(&view, w->engine, value, w->rows, &err), &err))
            return false;
        plain = malloc((size_t)(view.rows * view.channels * view.spatial) * sizeof(float) + 1);
        if (plain == NULL)
            return say(v, REFUSED, "no memory for output %d", (int)i);
        view.data = w->out_data[at];
        view_copy(&view, plain, false);
        got.data = plain;
    }
    bool equal = tensor_compare(&got, &w->out[i], why);
    free(plain);
    return equal || say(v, WRONG, "output %d: %s", (int)i, why);
}

static bool run(verdict *v, work *w, const char *folder)
{
    char path[MAX_PATH];
    ln_error err = { 0 };
    ln__onnx_limits limits = { HEAP_CAP, HEAP_CAP };
    verdict unread = { .outcome = PASS };

    snprintf(path, sizeof path, "%s/model.onnx", folder);
    if (!check(v, ln__onnx_load(&w->onnx, &w->ctx, path, &limits, &err), &err))
        return false;
    bool readable = read_tensors(&unread, w->in, &w->n_in, folder, "input") &&
                    read_tensors(&unread, w->out, &w->n_out, folder, "output");
    if (readable)
        bind_constants(w);
    if (!build_graph(v, w))
        return false;
    if (!readable) {
        *v = unread;
        return false;
    }
    if (!run_plan(v, w))
        return false;
    if (w->graph->n_outputs != w->n_out)
        return say(v, WRONG, "%d outputs, the case has %d", (int)w->graph->n_outputs, (int)w->n_out);
    for (int32_t i = 0; i < w->n_out; i++)
        if (!compare_output(v, w, i))
            return false;
    return true;
}

static void check_heap(verdict *v, const heap *h)
{
    if (h->live != 0)
        say(v, WRONG, "%zu bytes are not released", h->live);
    else if (h->most_asked > HEAP_CAP)
        say(v, WRONG, "asks for %zu bytes", h->most_asked);
}

void case_run(verdict *out, const char *folder)
{
    heap h = { 0, 0 };
    ln_allocator allocator = heap_allocator(&h);
    work *w = calloc(1, sizeof *w);
    if (w == NULL)
        return (void)say(out, REFUSED, "no memory");
    w->ctx = ln__ctx_make(&allocator, NULL, NULL);
    run(out, w, folder);
    work_free(w);
    free(w);
    check_heap(out, &h);
}

/* ---- Broken models ---------------------------------------------------------------- */

/* An input of the declared shape, one where a dimension is not said. */
static bool make_inputs(work *w)
{
    for (int32_t i = 0; i < w->onnx->n_inputs && w->n_in < MAX_TENSORS; i++) {
        const ln__onnx_value *input = &w->onnx->inputs[i];
        case_tensor *t = &w->in[w->n_in];
        int64_t n;
        if (input->initializer >= 0)
            continue;
        t->t = input->type;
        t->t.dtype = LN__F32;
        for (int32_t d = 0; d < t->t.rank; d++)
            t->t.dim[d] = LN__MAX(t->t.dim[d], 1);
        if (!ln__tensor_elements(&t->t, &n) || n > HEAP_CAP / 4 || (t->data = calloc((size_t)n + 1, 4)) == NULL)
            return false;
        t->t.data = t->data;
        w->name[w->n_in++] = input->name;
    }
    return true;
}

static bool run_rooms(verdict *v, work *w, const char *path)
{
    ln_error err = { 0 };
    ln__onnx_limits limits = { HEAP_CAP, HEAP_CAP };
    if (!check(v, ln__onnx_load(&w->onnx, &w->ctx, path, &limits, &err), &err))
        return false;
    bool fed = make_inputs(w);
    if (!build_graph(v, w))
        return false;
    if (!fed)
        return say(v, WRONG, "opens with an input that cannot be made");
    return run_plan(v, w);
}

/* The same through the public calls; true if all of them succeed. */
static bool run_public(const ln_allocator *allocator, const char *path)
{
    ln_load_options options = LN_LOAD_OPTIONS_INIT;
    ln_model_info info = LN_MODEL_INFO_INIT;
    ln_model *model = NULL;
    ln_session *session = NULL;
    ln_result result;
    float *input = NULL;
    options.allocator = allocator;
    bool ok = ln_model_load(&model, path, &options, NULL) >= 0 && ln_model_get_info(model, &info, NULL) >= 0 &&
              ln_session_open(&session, model, NULL, NULL) >= 0 &&
              (input = calloc((size_t)info.channels * info.height + 1, info.width * sizeof *input)) != NULL &&
              ln_infer_full(session, input, 1, &result, NULL, NULL) >= 0;
    free(input);
    ln_session_free(session);
    ln_model_free(model);
    return ok;
}

void case_run_malformed(verdict *out, const char *path)
{
    heap h = { 0, 0 };
    ln_allocator allocator = heap_allocator(&h);
    verdict v = { .outcome = PASS };
    work *w = calloc(1, sizeof *w);
    if (w == NULL)
        return (void)say(out, REFUSED, "no memory");
    w->ctx = ln__ctx_make(&allocator, NULL, NULL);
    if (run_rooms(&v, w, path))
        say(&v, WRONG, "accepted");
    else if (v.outcome == REFUSED)
        v.outcome = PASS;
    work_free(w);
    free(w);
    if (v.outcome == PASS && run_public(&allocator, path))
        say(&v, WRONG, "accepted by ln_infer_full");
    check_heap(&v, &h);
    *out = v;
}
