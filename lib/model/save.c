/* save.c - a model's additions written into its ONNX file (docs/format.md). */
#include "model/model.h"
#include "model/format.h"

#include <string.h>

typedef struct saving {
    const ln_model *model;
    ln__onnx_edit  *edit;
    ln__buffer      text;
} saving;

static void set_text(saving *s, const char *key)
{
    ln__buffer_put(&s->text, "", 1);
    if (s->text.ok)
        ln__onnx_set_metadata(s->edit, key, (const char *)s->text.data);
    s->text.size = 0;
}

static void set_numbers(saving *s, const char *key, const double *values, size_t count)
{
    ln__format_print(&s->text, values, count);
    set_text(s, key);
}

static void save_preprocess(saving *s)
{
    const ln_preprocess *p = &s->model->preprocess;
    double v[13] = { p->resize, p->crop_height, p->crop_width, p->order, p->scale };

    memcpy(v + 5, p->mean, sizeof p->mean);
    memcpy(v + 9, p->std, sizeof p->std);
    set_numbers(s, LN__KEY_PREPROCESS, v, 13);
}

static void save_classes(saving *s)
{
    const ln_model *model = s->model;
    char key[64];

    if (!model->class_names && !model->network_class)
        return;
    set_numbers(s, LN__KEY_CLASSES, &(double){ model->classes }, 1);
    for (uint32_t i = 0; model->class_names && i < model->classes; i++) {
        snprintf(key, sizeof key, LN__KEY_CLASS "%u", i);
        ln__onnx_set_metadata(s->edit, key, model->class_names[i]);
    }
    if (!model->network_class)
        return;
    for (uint32_t i = 0; i < model->classes; i++)
        ln__buffer_printf(&s->text, "%s%u", i ? " " : "", model->network_class[i]);
    set_text(s, LN__KEY_NETWORK_CLASSES);
}

static void save_final(saving *s)
{
    const ln__final *f = &s->model->final;
    const ln__node *nodes = s->model->graph->nodes;

    if (!f->replaced)
        return;
    set_numbers(s, LN__KEY_FINAL, (double[]){ f->node, f->bias_node, f->bias_input, f->trained }, 4);
    ln__onnx_add_f32(s->edit, LN__ONNX_PREFIX "final.w", f->weight.data, f->weight.rank, f->weight.dim);
    ln__onnx_replace_input(s->edit, nodes[f->node].index, 1, LN__ONNX_PREFIX "final.w", f->outputs);
    if (!f->bias.data)
        return;
    ln__onnx_add_f32(s->edit, LN__ONNX_PREFIX "final.b", f->bias.data, f->bias.rank, f->bias.dim);
    ln__onnx_replace_input(s->edit, nodes[f->bias_node].index, f->bias_input, LN__ONNX_PREFIX "final.b", f->outputs);
}

static void save_exit(saving *s, uint32_t e)
{
    const ln__exit *exit = &s->model->exits[e];
    bool trained = exit->head.mlp.params != NULL;
    char key[64];

    snprintf(key, sizeof key, LN__KEY_EXIT "%u", e);
    ln__onnx_set_metadata(s->edit, key, exit->value_name);
    snprintf(key, sizeof key, LN__KEY_EXIT "%u.head", e);
    if (exit->head.kind == LN_HEAD_CONV)
        ln__buffer_printf(&s->text, "conv %d %d %d", exit->head.mlp.hidden, exit->head.cells, (int)exit->head.conv.layer[0].out);
    else if (exit->head.kind == LN_HEAD_POOL)
        ln__buffer_printf(&s->text, "pool %d %d %d", exit->head.mlp.hidden, exit->head.cells, exit->head.covariance);
    else
        ln__buffer_printf(&s->text, "flatten %d", exit->head.mlp.hidden);
    set_text(s, key);
    if (!trained)
        return;
    snprintf(key, sizeof key, LN__KEY_EXIT "%u.accuracy", e);
    set_numbers(s, key, &exit->heldout_accuracy, 1);
    ln__head_emit(s->edit, &exit->head, e, exit->value_name, exit->rank);
}

static void save_point(saving *s, uint32_t p)
{
    const ln__point *point = &s->model->points[p];
    const ln_point_info *m = &point->measured;
    char key[64];

    snprintf(key, sizeof key, LN__KEY_POINT "%u", p);
    set_numbers(s, key, (double[]){ point->alpha, point->cost, m->rows, m->accuracy, m->plain_accuracy,
                                    m->params_share, m->macs_share, m->time_share }, 8);
    if (point->gates.policy != LN_POLICY_GATE) {
        snprintf(key, sizeof key, LN__KEY_POINT "%u.policy", p);
        ln__onnx_set_metadata(s->edit, key, ln_policy_name(point->gates.policy));
    }
    if (m->moved) {
        snprintf(key, sizeof key, LN__KEY_POINT "%u.moved", p);
        ln__onnx_set_metadata(s->edit, key, "1");
    }
    if (point->gates.policy == LN_POLICY_GATE && m->objective >= 0) {
        snprintf(key, sizeof key, LN__KEY_POINT "%u.learned", p);
        set_numbers(s, key, (double[]){ m->objective, m->price, m->gate_hidden, m->same_rows }, 4);
    }
    snprintf(key, sizeof key, LN__KEY_POINT "%u.thresholds", p);
    set_numbers(s, key, point->gates.threshold, point->gates.exits);
    if (!point->has_shares)
        return;
    snprintf(key, sizeof key, LN__KEY_POINT "%u.shares", p);
    set_numbers(s, key, point->shares, point->gates.exits + 1);
}

static void save_curves(saving *s)
{
    char key[96];

    for (int32_t p = 0; p < LN__POLICIES; p++) {
        const ln__curve *curve = &s->model->curves[p];
        if (!curve->count)
            continue;
        snprintf(key, sizeof key, LN__KEY_CURVE "%s", ln_policy_name(p));
        set_numbers(s, key, &(double){ curve->count }, 1);
        for (uint32_t i = 0; i < curve->count; i++) {
            snprintf(key, sizeof key, LN__KEY_CURVE "%s.%u", ln_policy_name(p), i);
            ln__curve_print(&s->text, curve, i, s->model->n_exits);
            set_text(s, key);
        }
    }
}

static ln_status save_points(saving *s, ln_error *err)
{
    const ln_model *model = s->model;

    if (!model->n_points)
        return LN_OK;
    const ln__gates **gates = ln__array(&model->ctx, model->n_points, sizeof *gates);
    if (!gates)
        return ln__fail_nomem(err, &model->ctx, model->n_points * sizeof *gates);
    set_numbers(s, LN__KEY_POINTS, &(double){ model->n_points }, 1);
    set_numbers(s, LN__KEY_DEFAULT_POINT, &(double){ model->default_point }, 1);
    if (model->default_target.struct_size) {
        double numbers[LN__TARGET_NUMBERS];
        ln__target_numbers(&model->default_target, numbers);
        set_numbers(s, LN__KEY_DEFAULT_TARGET, numbers, LN__TARGET_NUMBERS);
    }
    for (uint32_t p = 0; p < model->n_points; p++) {
        gates[p] = &model->points[p].gates;
        save_point(s, p);
    }
    for (uint32_t e = 0; e < model->n_exits; e++)
        ln__gates_emit(s->edit, gates, model->n_points, e, (int32_t)model->classes);
    ln__free(&model->ctx, gates);
    return LN_OK;
}

ln_status ln__model_save(const ln_model *model, const char *path, ln_error *err)
{
    saving s = { .model = model };
    ln_status st = ln__onnx_edit_new(&s.edit, model->onnx, err);

    if (st < 0)
        return st;
    ln__buffer_init(&s.text, &model->ctx);
    ln__onnx_set_metadata(s.edit, LN__KEY_FORMAT, LN__FORMAT_VERSION);
    save_preprocess(&s);
    save_classes(&s);
    save_final(&s);
    if (model->n_exits)
        set_numbers(&s, LN__KEY_EXITS, &(double){ model->n_exits }, 1);
    for (uint32_t e = 0; e < model->n_exits; e++)
        save_exit(&s, e);
    st = save_points(&s, err);
    save_curves(&s);
    if (model->kernels)
        ln__onnx_set_metadata(s.edit, LN__KEY_KERNELS, model->kernels);
    if (st == LN_OK && !s.text.ok)
        st = ln__fail_nomem(err, &model->ctx, s.text.capacity);
    if (st == LN_OK)
        st = ln__onnx_save(s.edit, path, err);
    ln__buffer_free(&s.text);
    ln__onnx_edit_free(s.edit);
    return st;
}
