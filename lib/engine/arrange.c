/* arrange.c - where a plan's buffers lie. Copies are left out where source and
 * copy can be the same memory (flatten, operands of sums, parts of a
 * concatenation), steps write over an input that nobody reads again, and what
 * is left shares one arena by lifetimes.
 *
 * A buffer placed in another has that one as root. Steps are looked at in
 * order; `first` and `last` of every buffer are known before, so a question
 * about the future is a comparison. */
#include "engine/plan.h"

enum { ALIGN = 16 };            /* floats: 64 bytes */

static void touch(ln__plan *plan, int32_t buffer, int32_t step)
{
    if (buffer < 0)
        return;
    ln__storage *s = &plan->buffers[buffer];
    if (s->first < 0)
        s->first = step;
    s->last = step;
}

static void lifetimes(ln__plan *plan)
{
    for (size_t t = 0; t < plan->n_steps; t++) {
        ln__step *step = &plan->steps[t];
        for (int32_t i = 0; i < step->n_in; i++)
            touch(plan, step->in[i], (int32_t)t);
        for (int32_t i = 0; i < step->n_out; i++) {
            touch(plan, step->out[i], (int32_t)t);
            if (step->out[i] >= 0)
                plan->buffers[step->out[i]].writers++;
        }
        touch(plan, step->scratch, (int32_t)t);
    }
    for (size_t i = 0; i < plan->n_buffers; i++)
        if (plan->buffers[i].home == LN__HOME_OUT)
            plan->buffers[i].last = (int32_t)plan->n_steps;
}

static bool overlaps(size_t a, size_t a_size, size_t b, size_t b_size)
{
    return a < b + b_size && b < a + a_size;
}

/* The last step that touches what lies in a piece of a root. */
static int32_t last_touch(const ln__plan *plan, int32_t root, size_t offset, size_t floats)
{
    int32_t last = -1;
    for (size_t i = 0; i < plan->n_buffers; i++) {
        const ln__storage *s = &plan->buffers[i];
        if (s->root == root && overlaps(s->offset, s->floats, offset, floats))
            last = LN__MAX(last, s->last);
    }
    return last;
}

static bool alone(const ln__plan *plan, int32_t buffer)
{
    if (plan->buffers[buffer].root != buffer)
        return false;
    for (size_t i = 0; i < plan->n_buffers; i++)
        if (plan->buffers[i].root == buffer && (int32_t)i != buffer)
            return false;
    return true;
}

/* Puts a root and all that lies in it into another root. */
static void place(ln__plan *plan, int32_t root, int32_t into, size_t offset)
{
    for (size_t i = 0; i < plan->n_buffers; i++)
        if (plan->buffers[i].root == root) {
            plan->buffers[i].root = into;
            plan->buffers[i].offset += offset;
        }
}

/* Makes `to`, a buffer of its own, the same memory as `from`. Homes must allow it. */
static bool same_memory(ln__plan *plan, int32_t from, int32_t to)
{
    ln__storage *f = &plan->buffers[from], *t = &plan->buffers[to], *root = &plan->buffers[f->root];
    if (!alone(plan, to) || t->floats != f->floats)
        return false;
    if (t->home == LN__HOME_OUT) {
        if (root->home != LN__HOME_ARENA || root->floats != t->floats || f->offset != 0)
            return false;
        root->home = LN__HOME_OUT;
        root->index = t->index;
    } else if (t->home != LN__HOME_ARENA) {
        return false;
    }
    place(plan, to, f->root, f->offset);
    return true;
}

/* True if all copies into `to` that meet [base, base + size of root) come from that root, lying alike. */
static bool made_of(const ln__plan *plan, int32_t to, int32_t root, size_t base)
{
    for (size_t t = 0; t < plan->n_steps; t++) {
        const ln__step *step = &plan->steps[t];
        if (step->kind != LN__STEP_COPY || step->out[0] != to)
            continue;
        const ln__storage *from = &plan->buffers[step->in[0]];
        if (!overlaps(step->to_offset, from->floats, base, plan->buffers[root].floats))
            continue;
        if (from->root != root || from->offset + base != step->to_offset || step->job.gx.rows != 1)
            return false;
    }
    return true;
}

static int32_t copies_into(const ln__plan *plan, int32_t to)
{
    int32_t n = 0;
    for (size_t t = 0; t < plan->n_steps; t++)
        n += plan->steps[t].kind == LN__STEP_COPY && plan->steps[t].out[0] == to;
    return n;
}

/* A part of a concatenation is made where it belongs. */
static bool part_of(ln__plan *plan, int32_t from, int32_t to, size_t at)
{
    const ln__storage *f = &plan->buffers[from], *t = &plan->buffers[to];
    const ln__storage *root = &plan->buffers[f->root];
    if (t->root != to || f->root == to || root->home != LN__HOME_ARENA || at < f->offset
        || copies_into(plan, to) != t->writers)
        return false;
    size_t base = at - f->offset;
    if (base + root->floats > t->floats || !made_of(plan, to, f->root, base))
        return false;
    place(plan, f->root, to, base);
    return true;
}

static void leave_out_copy(ln__plan *plan, int32_t t)
{
    ln__step *step = &plan->steps[t];
    int32_t from = step->in[0], to = step->out[0];
    const ln__storage *f = &plan->buffers[from], *d = &plan->buffers[to];

    if (step->job.gx.rows != 1)
        return;
    if (f->root == d->root && f->offset == d->offset + step->to_offset) {
        step->gone = true;
    } else if (step->to_offset == 0 && f->floats == d->floats) {
        bool changed = d->writers > 1;
        if (changed && (plan->buffers[f->root].kept || last_touch(plan, f->root, f->offset, f->floats) > t))
            return;
        step->gone = same_memory(plan, from, to);
    } else {
        step->gone = part_of(plan, from, to, step->to_offset);
    }
}

static void work_in_place(ln__plan *plan, int32_t t)
{
    const ln__step *step = &plan->steps[t];
    int32_t from = step->in[step->in_place], to = step->out[0];
    const ln__storage *f = &plan->buffers[from];

    if (from == to || plan->buffers[f->root].kept || last_touch(plan, f->root, f->offset, f->floats) > t)
        return;
    for (int32_t i = 0; i < step->n_in; i++) {
        const ln__storage *other = &plan->buffers[step->in[i]];
        bool same = (i == step->in_place || !step->reads_around) && other->root == f->root && other->offset == f->offset && other->floats == f->floats;
        if (!same && other->root == f->root && overlaps(other->offset, other->floats, f->offset, f->floats))
            return;
    }
    same_memory(plan, from, to);
}

/* ---- The arena --------------------------------------------------------------------- */

/* Lowest place in the arena beside those already placed that live at the same time. */
static size_t find_place(const ln__plan *plan, const int32_t *placed, size_t n, int32_t buffer)
{
    const ln__storage *b = &plan->buffers[buffer];
    size_t at = 0, floats = (b->floats + ALIGN - 1) / ALIGN * ALIGN;
    for (bool moved = true; moved; ) {
        moved = false;
        for (size_t i = 0; i < n; i++) {
            const ln__storage *o = &plan->buffers[placed[i]];
            size_t o_floats = (o->floats + ALIGN - 1) / ALIGN * ALIGN, o_at = plan->place[placed[i]] / sizeof(float);
            if (o->last >= b->first && b->last >= o->first && overlaps(at, floats, o_at, o_floats)) {
                at = o_at + o_floats;
                moved = true;
            }
        }
    }
    return at * sizeof(float);
}

static ln_status lay_out(ln__plan *plan, ln_error *err)
{
    int32_t *order = ln__arena_calloc(&plan->memory, plan->n_buffers + 1, sizeof *order);
    plan->place = ln__arena_calloc(&plan->memory, plan->n_buffers + 1, sizeof *plan->place);
    size_t n = 0;
    if (!order || !plan->place)
        return ln__lower_nomem(plan, err);
    for (size_t i = 0; i < plan->n_buffers; i++) {
        const ln__storage *s = &plan->buffers[i];
        ln__storage *root = &plan->buffers[s->root];
        if (s->first >= 0) {
            root->first = root->first < 0 ? s->first : LN__MIN(root->first, s->first);
            root->last = LN__MAX(root->last, s->last);
        }
    }
    /* Largest first: the small ones find room between. */
    for (size_t i = 0; i < plan->n_buffers; i++) {
        const ln__storage *s = &plan->buffers[i];
        if (s->root != (int32_t)i || s->home != LN__HOME_ARENA || s->first < 0)
            continue;
        size_t at = n++;
        for (; at > 0 && plan->buffers[order[at - 1]].floats < s->floats; at--)
            order[at] = order[at - 1];
        order[at] = (int32_t)i;
    }
    for (size_t i = 0; i < n; i++) {
        plan->place[order[i]] = find_place(plan, order, i, order[i]);
        size_t end = plan->place[order[i]] + (plan->buffers[order[i]].floats + ALIGN - 1) / ALIGN * ALIGN * sizeof(float);
        plan->arena_bytes = LN__MAX(plan->arena_bytes, end);
    }
    return LN_OK;
}

ln_status ln__arrange(ln__plan *plan, ln_error *err)
{
    lifetimes(plan);
    for (size_t t = 0; t < plan->n_steps; t++) {
        if (plan->steps[t].kind == LN__STEP_COPY)
            leave_out_copy(plan, (int32_t)t);
        else if (plan->steps[t].in_place >= 0)
            work_in_place(plan, (int32_t)t);
    }
    return lay_out(plan, err);
}
