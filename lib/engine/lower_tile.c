/* lower_tile.c - convolutions done by kernel_tile.c: which can be, and their
 * steps. */
#include "engine/plan.h"

#include <math.h>
#include <string.h>

enum { CACHE_FLOATS = 1 << 16, WINOGRAD_FLOATS = 3 << 17 };    /* of the input, meant to stay in the second-level cache */
enum { LEAST_PLACES = 48, BUSY = 1 << 20 };                     /* BUSY: multiply-adds of a vector worth sharing */
enum { MOST_PADDED = 1 << 22 };                                 /* floats of a copy with zeros around it */

static int64_t edge_of(char choice)
{
    return choice == LN__WINOGRAD ? 4 : choice == LN__WINOGRAD_2 ? 2 : 0;
}

/* ---- Which ------------------------------------------------------------------------------ */

/* Missing dimensions of the job's three are 1. */
static bool fill_window(ln__job *job, const ln__node *node, const ln__shapes *shapes)
{
    const ln__tensor *x = &shapes->of[node->in[0]], *y = &shapes->of[node->out[0]];
    int64_t sizes[LN__MAX_SPATIAL];
    ln__window w;
    if (x->rank < 3 || x->rank > 5 || x->dtype != LN__F32 || !ln__node_window(&w, sizes, node, x, &shapes->of[node->in[1]]))
        return false;
    for (int d = 0; d < 3; d++) {
        int s = d - (3 - w.spatial);
        job->in[d] = s < 0 ? 1 : x->dim[s + 2];
        job->out[d] = s < 0 ? 1 : y->dim[s + 2];
        job->kernel[d] = s < 0 ? 1 : w.kernel[s];
        job->stride[d] = s < 0 ? 1 : w.stride[s];
        job->dilation[d] = s < 0 ? 1 : w.dilation[s];
        job->begin[d] = s < 0 ? 0 : w.pad_begin[s];
        int64_t reach = (job->out[d] - 1) * job->stride[d] + (job->kernel[d] - 1) * job->dilation[d] + 1 - job->begin[d];
        job->padded = job->padded || job->begin[d] > 0 || reach > job->in[d];
    }
    return job->in[0] == 1 && job->out[0] == 1 && job->kernel[0] == 1 && job->begin[0] == 0;
}

/* Dilations and pads come from the file and may be thousands of times the map. */
static bool copy_fits(const ln__job *job, int64_t floats_of_pixel)
{
    double size = (double)floats_of_pixel;
    int64_t outputs[2] = { LN__MAX(LN__TILE_PLACES / job->out[2], 1), job->out[2] };
    for (int d = 0; d < 2; d++)
        size *= (double)(outputs[d] - 1) * (double)job->stride[d + 1] + (double)(job->kernel[d + 1] - 1) * (double)job->dilation[d + 1] + 1;
    return size <= MOST_PADDED;
}

bool ln__tile_available(const ln__engine *e, const ln__node *node, const ln__shapes *shapes, char choice)
{
    const ln__tensor *w = &shapes->of[node->in[1]];
    ln__job job = { 0 };
    if (e->block == 1 || (choice != LN__TILED && !edge_of(choice)) || node->u.conv.group != 1 || !w->data || w->dim[0] < e->block / 2
        || w->dim[1] < e->block / 2 || !fill_window(&job, node, shapes))
        return false;
    if (!edge_of(choice))
        return job.kernel[1] * job.kernel[2] <= LN__TILE_TAPS
            && (!job.padded || (job.out[2] <= LN__TILE_PLACES && copy_fits(&job, (w->dim[1] + e->block - 1) / e->block * e->block)));
    for (int d = 1; d < 3; d++)
        if (job.kernel[d] != 3 || job.stride[d] != 1 || job.dilation[d] != 1 || job.begin[d] < 0 || job.begin[d] > 2)
            return false;
    return true;
}

/* Does padding, which is zero, stay so? */
static bool keeps_zero(const ln__post *post)
{
    return post->unary == LN__RELU || post->unary == LN__LEAKY_RELU || post->unary == LN__HARD_SWISH || post->unary == LN__SWISH
        || (post->unary == LN__CLIP && post->a <= 0.0F && post->b >= 0.0F);
}

/* Posts done as sums are finished: an addition, an activation. */
static int32_t fused_posts(const ln__node *node, int64_t channels, int64_t block)
{
    int32_t n = node->n_post && node->post[0].kind == LN__POST_ADD;
    if (n == node->n_post || node->post[n].kind != LN__POST_UNARY)
        return n;
    const ln__post *post = &node->post[n];
    bool known = keeps_zero(post) || post->unary == LN__CLIP || post->unary == LN__SIGMOID || post->unary == LN__HARD_SIGMOID;
    return n + (known && (keeps_zero(post) || channels % block == 0));
}

/* ---- Steps ------------------------------------------------------------------------------------- */

/* Places between two passes over the weights, so that what they read stays in the cache; where
 * their channels lie; the memory of a part. */
static bool fill_places(ln__job *job, ln__plan *plan)
{
    int64_t lanes = job->gx.lanes, groups = job->gx.groups, taps = job->edge ? 1 : job->kernel[1] * job->kernel[2];
    int64_t wide = (job->out[2] - 1) * job->stride[2] + (job->kernel[2] - 1) * job->dilation[2] + 1, plane = 0, line = job->in[2];
    int64_t places = LN__MIN(LN__MAX(CACHE_FLOATS / (groups * lanes), LEAST_PLACES), LN__TILE_PLACES);
    if (job->edge) {
        int64_t frequencies = (job->edge + 2) * (job->edge + 2);
        /* Few channels have few weights to read again: there, frequencies had better stay in the nearest cache. */
        int64_t most = LN__MIN(LN__MAX(2 * groups * lanes, 32), 96);
        job->chunk = LN__MIN(LN__MAX(WINOGRAD_FLOATS / (groups * lanes * frequencies), 24), most);
        plane = job->chunk * lanes;
        job->scratch_floats = frequencies * (ln__tile_step(groups, job->chunk, lanes) + ln__tile_step(ln__tile_widest(lanes), job->chunk, lanes));
    } else if (job->padded) {
        job->chunk = LN__MIN(LN__MAX(places / job->out[2], 1), job->out[1]);
        line = wide;
        plane = ((job->chunk - 1) * job->stride[1] + (job->kernel[1] - 1) * job->dilation[1] + 1) * wide * lanes;
        job->scratch_floats = groups * plane;
    } else {
        job->chunk = places;
        plane = job->gx.group_step;
    }
    job->plane = plane;
    job->blocks = taps * groups;
    int64_t *at = ln__arena_calloc(&plan->memory, (size_t)job->blocks, sizeof *at);
    for (int64_t t = 0; at && t < taps; t++)
        for (int64_t b = 0; b < groups; b++)
            at[t * groups + b] = b * plane + (t / job->kernel[2] * job->dilation[1] * line + t % job->kernel[2] * job->dilation[2]) * lanes;
    job->at = at;
    return at != NULL;
}

static ln_status constants(ln__job *job, ln__plan *plan, int32_t node, ln_error *err)
{
    const ln__node *n = ln__lower_node(plan, node);
    const ln__tensor *plain = ln__lower_type(plan, n->in[1]);
    const ln__tensor *scale = n->n_in > 3 && n->in[3] != LN__NO_VALUE ? ln__lower_type(plan, n->in[3]) : NULL;
    int64_t floats = job->gy.groups * job->gy.lanes;
    ln_status st = ln__weights_tiled(&job->weights, plan->engine, node, plain, scale, job->edge);
    if (st >= 0 && n->n_in > 2 && n->in[2] != LN__NO_VALUE)
        st = ln__weights_vector(&job->bias, plan->engine, node, 2, ln__lower_type(plan, n->in[2]), floats, 1.0F);
    else if (st >= 0 && !(job->bias = ln__arena_calloc(&plan->memory, (size_t)floats, sizeof(float))))
        st = LN_E_NOMEM;
    return st < 0 ? ln__lower_nomem(plan, err) : LN_OK;
}

static ln_status fill_job(ln__step *step, ln__plan *plan, int32_t node, int32_t taken, ln_error *err)
{
    const ln__node *n = ln__lower_node(plan, node);
    const ln__post *last = taken ? &n->post[taken - 1] : NULL;
    ln__view x = ln__layout_view(plan->engine, ln__lower_type(plan, n->in[0]), LN__BLOCKED);
    ln__view y = ln__layout_view(plan->engine, ln__lower_type(plan, n->out[0]), LN__BLOCKED);
    ln__job *job = &step->job;
    fill_window(job, n, plan->shapes);
    job->edge = edge_of(plan->engine->choice[node]);
    job->gx = ln__grid_of(&x);
    job->gy = ln__grid_of(&y);
    if (last && last->kind == LN__POST_UNARY)
        ln__job_post(job, last->unary, last->a, last->b);
    if (!job->clamped) {
        job->low = -INFINITY;
        job->high = INFINITY;
    }
    if (!fill_places(job, plan))
        return ln__lower_nomem(plan, err);
    step->busy = job->gy.rows * job->gy.row_step * job->blocks >= BUSY;
    ln_status st = constants(job, plan, node, err);
    return st < 0 ? st : ln__lower_scratch(plan, step, plan->threads * (size_t)job->scratch_floats * sizeof(float), err);
}

ln_status ln__lower_tile(ln__plan *plan, int32_t node, ln_error *err)
{
    const ln__node *n = ln__lower_node(plan, node);
    int32_t x, y, other = -1, value = n->out[0], taken = fused_posts(n, ln__lower_type(plan, value)->dim[1], plan->engine->block);
    ln_status st = ln__lower_input(&x, plan, node, n->in[0], LN__BLOCKED, err);
    if (st >= 0 && taken && n->post[0].kind == LN__POST_ADD)
        st = ln__lower_input(&other, plan, node, n->post[0].value, LN__BLOCKED, err);
    if (st >= 0)
        st = ln__lower_output(&y, plan, value, LN__BLOCKED, err);
    if (st < 0)
        return st;
    ln__step *step = ln__lower_step(plan, LN__STEP_KERNEL, node, other >= 0 ? 2 : 1, 1);
    if (!step)
        return ln__lower_nomem(plan, err);
    step->in[0] = x;
    if (other >= 0) {
        step->in[1] = other;
        step->in_place = 1;
        step->reads_around = true;
    }
    step->out[0] = y;
    st = fill_job(step, plan, node, taken, err);
    if (st < 0)
        return st;
    step->kernel = step->job.edge ? ln__kernel_winograd : ln__kernel_direct;
    ln__lower_text(plan, step, step->job.edge == 4 ? "tiles, Winograd 4x4" : step->job.edge ? "tiles, Winograd 2x2" : "tiles",
                   ln__lower_type(plan, value), LN__BLOCKED);
    st = ln__lower_posts(&y, plan, node, value, LN__BLOCKED, taken, err);
    return st < 0 ? st : ln__lower_done(plan, node, value, y, LN__BLOCKED, err);
}
