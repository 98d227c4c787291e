/* exits.c - where exits stand in a model. */
#include "model/model.h"

#include <string.h>

enum { MOST_CHANNELS = 1024, USUAL_CHANNELS = 64, USUAL_HIDDEN = 256, USUAL_HIDDEN_OF_CELLS = 64, MOST_USUAL_COVARIED = 32 };

void ln__exits_clear(ln_model *model)
{
    ln__model_drop_points(model);
    ln__model_drop_training(model);
    for (uint32_t e = 0; e < model->n_exits; e++) {
        ln__free(&model->ctx, model->exits[e].value_name);
        ln__head_free(&model->exits[e].head, &model->ctx);
    }
    ln__free(&model->ctx, model->exits);
    model->exits = NULL;
    model->n_exits = 0;
}

static ln_status check_value(const ln_model *model, const char *name, int32_t *value, ln_error *err)
{
    char text[128];

    *value = name[0] ? ln__graph_find(model->graph, name) : LN__NO_VALUE;
    if (*value < 0)
        return ln__fail(err, LN_E_ARGUMENT, "%s: no value '%s' in the network; ln_exit_candidates and 'leenet info' list good ones",
                        model->path, name);
    const ln__tensor *type = &model->one_row->of[*value];
    if (model->graph->values[*value].constant || model->graph->values[*value].producer < 0 ||
        !model->is_row_value[*value] || type->dtype != LN__F32 || type->rank < 2 || type->rank > 5)
        return ln__fail(err, LN_E_ARGUMENT, "%s: value '%s' %s carries no rows a head could read", model->path, name,
                        ln__shape_text(text, type));
    if (*value == model->output)
        return ln__fail(err, LN_E_ARGUMENT, "%s: value '%s' is the network's own end", model->path, name);
    for (uint32_t e = 0; e < model->n_exits; e++)
        if (model->exits[e].value == *value)
            return ln__fail(err, LN_E_ARGUMENT, "exit %u stands on value '%s' already", e, name);
    return LN_OK;
}

static void describe_value(const ln_model *model, int32_t value, ln__exit *exit)
{
    const ln__tensor *type = &model->one_row->of[value];

    exit->value = value;
    exit->rank = type->rank;
    exit->channels = type->dim[1];
    exit->height = type->rank > 2 ? type->dim[2] : 1;
    exit->width = 1;
    for (int32_t d = 3; d < type->rank; d++)
        exit->width *= type->dim[d];
    exit->spatial = exit->height * exit->width;
}

/* Depth is what has to be run: the nodes in the first stage of a cut at the value. */
static ln_status cost_before(const ln_model *model, int32_t value, ln__cost *cost, int32_t *nodes, ln_error *err)
{
    ln__cut *cut;
    ln_status st = ln__graph_cut(&cut, model->graph, &value, 1, err);

    if (st < 0)
        return st;
    *cost = (ln__cost){ 0, 0 };
    *nodes = cut->stages[0].last;
    for (int32_t i = cut->stages[0].first; i < cut->stages[0].last; i++) {
        ln__cost one = ln__node_cost(model->graph, model->one_row, cut->order[i]);
        cost->params += one.params;
        cost->macs += one.macs;
    }
    ln__cut_free(cut, &model->ctx);
    return LN_OK;
}

static ln_status insert(ln_model *model, ln__exit *exit, int32_t nodes, ln_error *err)
{
    ln__exit *grown = ln__array(&model->ctx, (size_t)model->n_exits + 1, sizeof *grown);
    uint32_t at = 0;

    if (!grown)
        return ln__fail_nomem(err, &model->ctx, sizeof *grown);
    for (; at < model->n_exits; at++) {
        ln__cost cost;
        int32_t other;
        ln_status st = cost_before(model, model->exits[at].value, &cost, &other, err);
        if (st < 0) {
            ln__free(&model->ctx, grown);
            return st;
        }
        if (other > nodes)
            break;
    }
    if (model->n_exits) {
        memcpy(grown, model->exits, at * sizeof *grown);
        memcpy(grown + at + 1, model->exits + at, (model->n_exits - at) * sizeof *grown);
    }
    grown[at] = *exit;
    ln__free(&model->ctx, model->exits);
    model->exits = grown;
    model->n_exits++;
    return LN_OK;
}

ln_status ln__exit_options_check(const ln_exit_options *options, ln_error *err)
{
    if (options->head < LN_HEAD_POOL || options->head > LN_HEAD_CONV)
        return ln__fail(err, LN_E_ARGUMENT, "head kind %d; LN_HEAD_POOL, LN_HEAD_FLATTEN and LN_HEAD_CONV are known", options->head);
    if (options->channels > MOST_CHANNELS)
        return ln__fail(err, LN_E_ARGUMENT, "convolutions of %u channels; at most %d", options->channels, MOST_CHANNELS);
    if (options->cells > 64)
        return ln__fail(err, LN_E_ARGUMENT, "%u x %u cells; at most 64 x 64", options->cells, options->cells);
    if (options->covariance > 1 && options->covariance != UINT32_MAX)
        return ln__fail(err, LN_E_ARGUMENT, "covariance %u; 0 (where a value has few channels), 1 (always) and UINT32_MAX (never) are known",
                        options->covariance);
    if (options->hidden != UINT32_MAX && options->hidden > 65536)
        return ln__fail(err, LN_E_ARGUMENT, "a hidden layer of %u; at most 65536", options->hidden);
    return LN_OK;
}

/* The kind asked for, or what suits the value: a head has no pixels to convolve in few of them, and nothing to pool in none. */
static int32_t kind_for(const ln__exit *exit, int32_t kind)
{
    if (exit->rank == 2)
        return LN_HEAD_FLATTEN;
    if (kind == LN_HEAD_CONV && (exit->rank != 4 || !ln__conv_fits(exit->height, exit->width)))
        return LN_HEAD_POOL;
    return kind;
}

/* Heads that read cells stand behind few channels, in networks that are fast beside what a head takes. */
static int32_t usual_hidden(const ln__head *head, int32_t wanted)
{
    if (head->kind == LN_HEAD_CONV || wanted == LN_HEAD_FLATTEN)
        return 0;
    return head->cells > 1 ? USUAL_HIDDEN_OF_CELLS : USUAL_HIDDEN;
}

static bool reads_covariance(const ln__head *head, uint32_t wanted)
{
    return ln__head_reads_pooled(head) && head->channels > 1 && (wanted == 1 || (wanted == 0 && head->channels <= MOST_USUAL_COVARIED));
}

static ln_status shape_head(ln__exit *exit, const char *value, const ln_exit_options *options, ln_error *err)
{
    ln__head *head = &exit->head;

    head->kind = kind_for(exit, options->head);
    head->channels = exit->channels;
    head->height = exit->height;
    head->width = exit->width;
    head->spatial = exit->spatial;
    if (head->kind == LN_HEAD_CONV) {
        ln__conv_plan(&head->conv, head->channels, head->height, head->width, options->channels ? options->channels : USUAL_CHANNELS);
        head->cells = ln__conv_cells(&head->conv, options->cells);
    } else {
        head->cells = head->kind == LN_HEAD_POOL && exit->rank == 4 ? ln__head_cells(exit->channels, exit->height, exit->width, options->cells) : 1;
        head->covariance = reads_covariance(head, options->covariance);
    }
    int64_t features = ln__head_features(head);
    if (features > INT32_MAX / 4)
        return ln__fail(err, LN_E_LIMIT, "value '%s' gives a head %lld numbers to read", value, (long long)features);
    head->mlp.inputs = (int32_t)features;
    if (options->hidden != UINT32_MAX)
        head->mlp.hidden = options->hidden ? (int32_t)options->hidden : usual_hidden(head, options->head);
    return LN_OK;
}

ln_status ln__exit_add(ln_model *model, const char *value, const ln_exit_options *options, ln_error *err)
{
    ln__exit exit = { 0 };
    int32_t id = LN__NO_VALUE, nodes;
    ln_status st = ln__model_change(model, "ln_exit_add", err);

    if (st == LN_OK)
        st = ln__exit_options_check(options, err);
    if (st == LN_OK)
        st = check_value(model, value, &id, err);
    if (st == LN_OK && model->n_exits == LN__MAX_EXITS)
        st = ln__fail(err, LN_E_LIMIT, "a model has at most %d exits", LN__MAX_EXITS);
    if (st < 0)
        return st;
    describe_value(model, id, &exit);
    st = cost_before(model, id, &exit.before, &nodes, err);
    if (st < 0)
        return st;
    st = shape_head(&exit, value, options, err);
    if (st < 0)
        return st;
    exit.value_name = ln__strdup(&model->ctx, value);
    if (!exit.value_name)
        return ln__fail_nomem(err, &model->ctx, strlen(value));
    st = insert(model, &exit, nodes, err);
    if (st < 0) {
        ln__free(&model->ctx, exit.value_name);
        return st;
    }
    ln__model_drop_points(model);
    ln__model_drop_training(model);
    return LN_OK;
}

/* ---- Candidates -------------------------------------------------------------------- */

typedef ln_status (*candidates_fn)(const ln_model *model, const ln__candidate *list, int32_t count,
                                   void *payload, ln_error *err);

static ln_status with_candidates(const ln_model *model, candidates_fn use, void *payload, ln_error *err)
{
    ln__graph *folded, *fused;
    ln__candidate *list;
    ln__arena arena;
    int32_t count;
    ln_status st = ln__model_fuse(&folded, &fused, model, LN__NO_VALUE, err);

    if (st < 0)
        return st;
    ln__arena_init(&arena, &model->ctx, 0);
    st = ln__graph_candidates(&list, &count, fused, &arena, err);
    if (st == LN_OK)
        st = use(model, list, count, payload, err);
    ln__arena_free(&arena);
    ln__graph_free(fused);
    ln__graph_free(folded);
    return st;
}

typedef struct listing { ln_exit_candidate *out; size_t capacity, *count; } listing;

static ln_status list_candidates(const ln_model *model, const ln__candidate *list, int32_t count,
                                 void *payload, ln_error *err)
{
    listing *to = payload;

    (void)err;
    *to->count = (size_t)count;
    for (int32_t i = 0; i < count && (size_t)i < to->capacity; i++) {
        ln__exit place;
        describe_value(model, list[i].value, &place);
        to->out[i] = (ln_exit_candidate){
            .value = model->graph->values[list[i].value].name,
            .channels = (uint32_t)place.channels, .height = (uint32_t)place.height, .width = (uint32_t)place.width,
            .carried = (uint32_t)list[i].carried,
            .macs_share = (double)list[i].before.macs / (double)LN__MAX(model->plain.macs, 1),
            .params_share = (double)list[i].before.params / (double)LN__MAX(model->plain.params, 1),
        };
    }
    return LN_OK;
}

ln_status ln__exit_candidates(const ln_model *model, ln_exit_candidate *out, size_t capacity,
                              size_t *count, ln_error *err)
{
    return with_candidates(model, list_candidates, &(listing){ out, capacity, count }, err);
}

typedef struct choice { uint32_t wanted; int32_t *values; ln__candidate *places; } choice;

static bool is_taken(const ln_model *model, int32_t value)
{
    for (uint32_t e = 0; e < model->n_exits; e++)
        if (model->exits[e].value == value)
            return true;
    return false;
}

/* Where a block squeezes its channels before it widens them again (SqueezeNet): a head has little to read there. */
static bool is_narrow(const ln_model *model, const ln__candidate *list, int32_t count, int32_t k)
{
    if (k == 0 || k == count - 1)
        return false;
    const ln__tensor *of = model->one_row->of;
    int64_t least = LN__MIN(of[list[k - 1].value].dim[1], of[list[k + 1].value].dim[1]);
    return of[list[k].value].dim[1] <= least / 4;
}

static int32_t leave_free(const ln_model *model, const ln__candidate *list, int32_t count, bool narrow, ln__candidate *places)
{
    int32_t n = 0;

    for (int32_t k = 0; k < count; k++)
        if (!is_taken(model, list[k].value) && (narrow || !is_narrow(model, list, count, k)))
            places[n++] = list[k];
    return n;
}

/* Exit i at the candidate nearest to (i + 1) / (wanted + 1) of the multiply-adds,
 * each candidate at most once and enough left for the exits after it; narrow
 * ones only if there are not enough others. */
static ln_status choose_spread(const ln_model *model, const ln__candidate *list, int32_t count,
                               void *payload, ln_error *err)
{
    choice *to = payload;
    int32_t wanted = (int32_t)to->wanted, next = 0, wide = leave_free(model, list, count, false, to->places);

    count = wide < wanted ? leave_free(model, list, count, true, to->places) : wide;
    if (count < wanted)
        return ln__fail(err, LN_E_ARGUMENT, "%s: %u exits wanted, the network has %d free places for exits", model->path,
                        to->wanted, count);
    for (int32_t i = 0; i < wanted; i++) {
        double aim = (double)model->plain.macs * (i + 1) / (wanted + 1), best_gap = 1e300;
        int32_t best = next;
        for (int32_t k = next; k <= count - (wanted - i); k++) {
            double gap = (double)to->places[k].before.macs - aim;
            gap = gap < 0 ? -gap : gap;
            if (gap < best_gap) {
                best_gap = gap;
                best = k;
            }
        }
        to->values[i] = to->places[best].value;
        next = best + 1;
    }
    return LN_OK;
}

ln_status ln__exit_add_auto(ln_model *model, uint32_t count, const ln_exit_options *options, ln_error *err)
{
    int32_t values[LN__MAX_EXITS];
    ln_status st;

    if (count == 0 || count > LN__MAX_EXITS)
        return ln__fail(err, LN_E_ARGUMENT, "%u exits wanted; 1..%d can be had", count, LN__MAX_EXITS);
    ln__candidate *places = ln__array(&model->ctx, (size_t)model->graph->n_values + 1, sizeof *places);
    if (!places)
        return ln__fail_nomem(err, &model->ctx, (size_t)model->graph->n_values * sizeof *places);
    st = with_candidates(model, choose_spread, &(choice){ count, values, places }, err);
    ln__free(&model->ctx, places);
    for (uint32_t i = 0; st == LN_OK && i < count; i++)
        st = ln__exit_add(model, model->graph->values[values[i]].name, options, err);
    return st;
}
