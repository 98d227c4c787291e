/* lane.c - building and freeing a lane. */
#include "session/lane.h"

#include <string.h>

static const ln__cut *cut_of(const ln__lane *lane)
{
    return lane->session->runnable->cut;
}

static void pool_free(ln__lane_pool *pool, const ln__ctx *ctx)
{
    for (int32_t v = 0; pool->data && v < pool->n_values; v++)
        ln__free(ctx, pool->data[v]);
    ln__free(ctx, pool->data);
    ln__free(ctx, pool->row_floats);
    ln__free(ctx, pool->row);
    ln__free(ctx, pool->slot);
}

void ln__lane_free(ln__lane *lane)
{
    const ln__ctx *ctx = &lane->session->ctx;

    for (int32_t i = 0; lane->plans && i < lane->n_sizes * lane->n_stages; i++)
        ln__plan_free(lane->plans[i]);
    for (int32_t s = 0; lane->pools && s <= lane->n_stages; s++)
        pool_free(&lane->pools[s], ctx);
    void *owned[] = { lane->plans, lane->pools, lane->arena, lane->in, lane->out, lane->features, lane->maps, lane->hidden,
                      lane->scratch, lane->mixed, lane->scores, lane->logits, lane->probabilities, lane->logits_of, lane->probabilities_of,
                      lane->free_slots, lane->stage_seconds, lane->head_seconds, lane->answers, lane->stage_pace,
                      lane->head_pace };
    for (size_t i = 0; i < LN__COUNT(owned); i++)
        ln__free(ctx, owned[i]);
}

/* What waits before stage s is what stage s - 1 hands on. */
static ln_status pool_init(ln__lane *lane, int32_t s, ln_error *err)
{
    const ln__stage *before = &cut_of(lane)->stages[s - 1];
    const ln__ctx *ctx = &lane->session->ctx;
    ln__lane_pool *pool = &lane->pools[s];

    pool->n_values = before->n_out;
    pool->values = before->out;
    pool->data = ln__calloc(ctx, (size_t)before->n_out, sizeof *pool->data);
    pool->row_floats = ln__calloc(ctx, (size_t)before->n_out, sizeof *pool->row_floats);
    pool->row = ln__calloc(ctx, lane->capacity, sizeof *pool->row);
    pool->slot = ln__calloc(ctx, lane->capacity, sizeof *pool->slot);
    if (!pool->data || !pool->row_floats || !pool->row || !pool->slot)
        return ln__fail_nomem(err, ctx, lane->capacity);
    for (int32_t v = 0; v < before->n_out; v++) {
        ln__view view;
        size_t floats;
        ln_status st = ln__engine_view(&view, lane->session->runnable->engine, before->out[v], 1, err);
        if (st < 0)
            return st;
        pool->row_floats[v] = ln__view_row_floats(&view);
        if (!ln__mul_size(pool->row_floats[v], lane->capacity, &floats) ||
            !(pool->data[v] = ln__calloc(ctx, floats, sizeof(float))))
            return ln__fail_nomem(err, ctx, pool->row_floats[v] * sizeof(float));
    }
    return LN_OK;
}

static ln_status plans_init(ln__lane *lane, ln_error *err)
{
    const ln_session *session = lane->session;
    size_t arena = 64;

    lane->plans = ln__calloc(&session->ctx, (size_t)(lane->n_sizes * lane->n_stages), sizeof *lane->plans);
    if (!lane->plans)
        return ln__fail_nomem(err, &session->ctx, sizeof *lane->plans);
    for (int32_t z = 0; z < lane->n_sizes; z++)
        for (int32_t s = 0; s < lane->n_stages; s++) {
            ln__plan **plan = &lane->plans[z * lane->n_stages + s];
            ln_status st = ln__plan_new(plan, session->runnable->engine, cut_of(lane), s, (int64_t)1 << z,
                                        lane->threads, err);
            if (st < 0)
                return st;
            arena = LN__MAX(arena, ln__plan_arena(*plan));
        }
    lane->arena = ln__alloc(&session->ctx, arena);
    return lane->arena ? LN_OK : ln__fail_nomem(err, &session->ctx, arena);
}

static ln_status scratch_init(ln__lane *lane, ln_error *err)
{
    const ln_session *session = lane->session;
    const ln_model *model = session->model;
    const ln__ctx *ctx = &session->ctx;
    size_t exits = model->n_exits, features = 1, maps = 1, hidden = 64, scratch = 1, slots = lane->capacity * (size_t)(lane->n_stages + 1), history;
    int32_t most_values = 1;

    for (size_t e = 0; e < exits; e++) {
        features = LN__MAX(features, (size_t)model->exits[e].head.mlp.inputs);
        maps = LN__MAX(maps, ln__head_scratch(&model->exits[e].head));
        hidden = LN__MAX(hidden, (size_t)model->exits[e].head.mlp.hidden);
    }
    for (uint32_t p = 0; p < model->n_points; p++)
        scratch = LN__MAX(scratch, ln__score_scratch(&model->points[p].gates, (int32_t)model->classes));
    for (int32_t s = 0; s < lane->n_stages; s++)
        most_values = LN__MAX(most_values, LN__MAX(cut_of(lane)->stages[s].n_in, cut_of(lane)->stages[s].n_out));
    if (!ln__mul_size(slots, (exits ? exits : 1) * model->classes, &history))
        return ln__fail_nomem(err, ctx, slots);
    size_t group = (size_t)lane->group;
    lane->in = ln__calloc(ctx, (size_t)most_values, sizeof *lane->in);
    lane->out = ln__calloc(ctx, (size_t)most_values, sizeof *lane->out);
    lane->features = ln__calloc(ctx, features, group * sizeof(float));
    lane->maps = ln__calloc(ctx, maps, sizeof(float));
    lane->hidden = ln__calloc(ctx, hidden, group * sizeof(float));
    lane->scratch = ln__calloc(ctx, scratch, sizeof(float));
    lane->mixed = ln__calloc(ctx, model->classes, sizeof(float));
    lane->scores = ln__calloc(ctx, slots, (exits + 1) * sizeof(float));
    lane->logits = ln__calloc(ctx, history, sizeof(float));
    lane->probabilities = ln__calloc(ctx, history, sizeof(float));
    lane->logits_of = ln__calloc(ctx, exits + 1, sizeof *lane->logits_of);
    lane->probabilities_of = ln__calloc(ctx, exits + 1, sizeof *lane->probabilities_of);
    lane->free_slots = ln__calloc(ctx, slots, sizeof *lane->free_slots);
    lane->stage_seconds = ln__calloc(ctx, (size_t)lane->n_stages, sizeof(double));
    lane->head_seconds = ln__calloc(ctx, exits + 1, sizeof(double));
    lane->answers = ln__calloc(ctx, model->classes, group * sizeof(float));
    lane->stage_pace = ln__calloc(ctx, (size_t)(lane->n_sizes * lane->n_stages), sizeof *lane->stage_pace);
    lane->head_pace = ln__calloc(ctx, (size_t)(lane->n_sizes * lane->n_stages), sizeof *lane->head_pace);
    const void *needed[] = { lane->in, lane->out, lane->features, lane->maps, lane->hidden, lane->scratch, lane->mixed, lane->scores, lane->logits,
                             lane->probabilities, lane->logits_of, lane->probabilities_of, lane->free_slots,
                             lane->stage_seconds, lane->head_seconds, lane->answers, lane->stage_pace, lane->head_pace };
    for (size_t i = 0; i < LN__COUNT(needed); i++)
        if (!needed[i])
            return ln__fail_nomem(err, ctx, history * sizeof(float));
    for (size_t i = 0; i < slots; i++)
        lane->free_slots[lane->n_free++] = (uint32_t)i;
    return LN_OK;
}

ln_status ln__lane_init(ln__lane *lane, ln_session *session, uint32_t threads, int64_t group, ln_error *err)
{
    ln_status st = LN_OK;

    memset(lane, 0, sizeof *lane);
    lane->session = session;
    lane->threads = threads;
    lane->group = group;
    while (((int64_t)1 << lane->n_sizes) <= group)
        lane->n_sizes++;
    lane->n_stages = session->runnable->cut->n_stages;
    lane->capacity = 2 * (size_t)group;
    lane->pools = ln__calloc(&session->ctx, (size_t)lane->n_stages + 1, sizeof *lane->pools);
    if (!lane->pools)
        return ln__fail_nomem(err, &session->ctx, sizeof *lane->pools);
    for (int32_t s = 1; st == LN_OK && s <= lane->n_stages; s++)
        st = pool_init(lane, s, err);
    if (st == LN_OK)
        st = plans_init(lane, err);
    if (st == LN_OK)
        st = scratch_init(lane, err);
    return st;
}
