/* arrange.c - where a plan's buffers lie. Copies are left out where source and
 * copy can be the same memory (flatten, operands of sums, parts of a
 * concatenation), steps write over an input that nobody reads again, and what
 * is left shares one arena by lifetimes.
 *
 * A buffer placed in another has that one as root; on the way to it there may be
 * others, until it is settled. Steps are looked at in order; `first` and `last` of
 * every buffer are known before, so a question about the future is a comparison. */
#include "engine/plan.h"

#include <string.h>

enum { ALIGN = 16, NONE = -1 }; /* floats: 64 bytes */

/* What is known of a buffer while plans are arranged. */
typedef struct lying {
    int32_t members;            /* of a root: buffers that lie in it, itself among them */
    int32_t until;              /* of a root: last step that touches any of them */
    int32_t live, tail, next;   /* of a root: list of those that are touched later than now, and maybe others */
    int32_t copies, last_copy;  /* steps that copy into it, linked by `before` and `after` */
    bool orderly;               /* each copy goes behind the one before */
} lying;

typedef struct arranging {
    ln__plan *plan;
    ln__storage *buffers;       /* the plan's */
    lying *of;                  /* [buffer] */
    int32_t *before, *after;    /* [step]: copy into the same buffer */
} arranging;

static void touch(arranging *a, int32_t buffer, int32_t step)
{
    if (buffer < 0)
        return;
    ln__storage *s = &a->buffers[buffer];
    if (s->first < 0)
        s->first = step;
    s->last = step;
}

static void add_copy(arranging *a, int32_t t)
{
    const ln__step *step = &a->plan->steps[t];
    lying *to = &a->of[step->out[0]];
    int32_t before = to->last_copy;
    a->before[t] = before;
    a->after[t] = NONE;
    if (before >= 0) {
        const ln__step *other = &a->plan->steps[before];
        a->after[before] = t;
        to->orderly = to->orderly && other->to_offset + a->buffers[other->in[0]].floats <= step->to_offset;
    }
    to->last_copy = t;
    to->copies++;
}

static void lifetimes(arranging *a)
{
    ln__plan *plan = a->plan;
    for (size_t i = 0; i < plan->n_buffers; i++)
        a->of[i] = (lying){ .members = 1, .live = (int32_t)i, .tail = (int32_t)i, .next = NONE, .last_copy = NONE, .orderly = true };
    for (size_t t = 0; t < plan->n_steps; t++) {
        ln__step *step = &plan->steps[t];
        for (int32_t i = 0; i < step->n_in; i++)
            touch(a, step->in[i], (int32_t)t);
        for (int32_t i = 0; i < step->n_out; i++) {
            touch(a, step->out[i], (int32_t)t);
            if (step->out[i] >= 0)
                plan->buffers[step->out[i]].writers++;
        }
        touch(a, step->scratch, (int32_t)t);
        if (step->kind == LN__STEP_COPY)
            add_copy(a, (int32_t)t);
    }
    for (size_t i = 0; i < plan->n_buffers; i++) {
        if (plan->buffers[i].home == LN__HOME_OUT)
            plan->buffers[i].last = (int32_t)plan->n_steps;
        a->of[i].until = plan->buffers[i].last;
    }
}

static bool overlaps(size_t a, size_t a_size, size_t b, size_t b_size)
{
    return a < b + b_size && b < a + a_size;
}

/* The buffer, lying in its root itself. */
static ln__storage *settle(const arranging *a, int32_t buffer)
{
    ln__storage *b = a->buffers;
    int32_t root = buffer;
    size_t offset = 0;
    for (; b[root].root != root; root = b[root].root)
        offset += b[root].offset;
    for (int32_t i = buffer, up; i != root; i = up) {
        size_t own = b[i].offset;
        up = b[i].root;
        b[i].root = root;
        b[i].offset = offset;
        offset -= own;
    }
    return &b[buffer];
}

/* Whether a step after t, the one at hand, touches what lies where f does. Whatever
 * is not touched later is not asked for again. */
static bool read_later(const arranging *a, const ln__storage *f, int32_t t)
{
    lying *root = &a->of[f->root];
    int32_t before = NONE;
    if (root->until <= t)
        return false;
    for (int32_t i = root->live, next; i >= 0; i = next) {
        next = a->of[i].next;
        if (a->buffers[i].last > t) {
            const ln__storage *s = settle(a, i);
            if (overlaps(s->offset, s->floats, f->offset, f->floats))
                return true;
            before = i;
            continue;
        }
        *(before < 0 ? &root->live : &a->of[before].next) = next;
        if (next < 0)
            root->tail = before;
    }
    return false;
}

/* Puts a root and all that lies in it into another root. */
static void place(arranging *a, int32_t root, int32_t into, size_t offset)
{
    lying *r = &a->of[root], *to = &a->of[into];
    a->buffers[root].root = into;
    a->buffers[root].offset = offset;
    to->members += r->members;
    to->until = LN__MAX(to->until, r->until);
    if (r->live < 0)
        return;
    a->of[r->tail].next = to->live;
    if (to->live < 0)
        to->tail = r->tail;
    to->live = r->live;
}

/* Makes `to`, a buffer of its own, the same memory as `from`. Homes must allow it. */
static bool same_memory(arranging *a, int32_t from, int32_t to)
{
    ln__storage *f = settle(a, from), *t = &a->buffers[to], *root = &a->buffers[f->root];
    if (t->root != to || a->of[to].members > 1 || t->floats != f->floats)
        return false;
    if (t->home == LN__HOME_OUT) {
        if (root->home != LN__HOME_ARENA || root->floats != t->floats || f->offset != 0)
            return false;
        root->home = LN__HOME_OUT;
        root->index = t->index;
    } else if (t->home != LN__HOME_ARENA) {
        return false;
    }
    place(a, to, f->root, f->offset);
    return true;
}

/* True if copy t, if it meets [base, base + size of root) of its buffer, comes from that root, lying alike. */
static bool is_part(const arranging *a, int32_t t, int32_t root, size_t base, bool *meets)
{
    const ln__step *step = &a->plan->steps[t];
    const ln__storage *from = settle(a, step->in[0]);
    *meets = overlaps(step->to_offset, from->floats, base, a->buffers[root].floats);
    return !*meets || (from->root == root && from->offset + base == step->to_offset && step->job.gx.rows == 1);
}

/* The same of all copies into t's buffer. They lie in a row, so those that meet it are beside t. */
static bool made_of(const arranging *a, int32_t t, int32_t root, size_t base)
{
    bool meets = true;
    for (int32_t c = t; c >= 0 && meets; c = a->before[c])
        if (!is_part(a, c, root, base, &meets))
            return false;
    meets = true;
    for (int32_t c = a->after[t]; c >= 0 && meets; c = a->after[c])
        if (!is_part(a, c, root, base, &meets))
            return false;
    return true;
}

/* A part of a concatenation is made where it belongs. */
static bool part_of(arranging *a, int32_t step, int32_t from, int32_t to, size_t at)
{
    const ln__storage *f = settle(a, from), *t = &a->buffers[to], *root = &a->buffers[f->root];
    const lying *copied = &a->of[to];
    if (t->root != to || f->root == to || root->home != LN__HOME_ARENA || at < f->offset
        || copied->copies != t->writers || !copied->orderly)
        return false;
    size_t base = at - f->offset;
    if (base + root->floats > t->floats || !made_of(a, step, f->root, base))
        return false;
    place(a, f->root, to, base);
    return true;
}

static void leave_out_copy(arranging *a, int32_t t)
{
    ln__step *step = &a->plan->steps[t];
    int32_t from = step->in[0], to = step->out[0];
    const ln__storage *f = settle(a, from), *d = settle(a, to);

    if (step->job.gx.rows != 1)
        return;
    if (f->root == d->root && f->offset == d->offset + step->to_offset) {
        step->gone = true;
    } else if (step->to_offset == 0 && f->floats == d->floats) {
        bool changed = d->writers > 1;
        if (changed && (a->buffers[f->root].kept || read_later(a, f, t)))
            return;
        step->gone = same_memory(a, from, to);
    } else {
        step->gone = part_of(a, t, from, to, step->to_offset);
    }
}

static void work_in_place(arranging *a, int32_t t)
{
    const ln__step *step = &a->plan->steps[t];
    int32_t from = step->in[step->in_place], to = step->out[0];
    const ln__storage *f = settle(a, from);

    if (from == to || a->buffers[f->root].kept || read_later(a, f, t))
        return;
    for (int32_t i = 0; i < step->n_in; i++) {
        const ln__storage *other = settle(a, step->in[i]);
        bool same = (i == step->in_place || !step->reads_around) && other->root == f->root && other->offset == f->offset && other->floats == f->floats;
        if (!same && other->root == f->root && overlaps(other->offset, other->floats, f->offset, f->floats))
            return;
    }
    same_memory(a, from, to);
}

/* ---- The arena --------------------------------------------------------------------- */

typedef struct spot { size_t at, end; int32_t first, last; } spot;     /* floats; steps */

static size_t rounded(size_t floats)
{
    return (floats + ALIGN - 1) / ALIGN * ALIGN;
}

static bool comes_before(const ln__plan *plan, int32_t a, int32_t b)
{
    size_t x = plan->buffers[a].floats, y = plan->buffers[b].floats;
    return x > y || (x == y && a < b);
}

static void sift(const ln__plan *plan, int32_t *order, size_t from, size_t n)
{
    int32_t moved = order[from];
    for (size_t child; (child = 2 * from + 1) < n; from = child) {
        child += child + 1 < n && comes_before(plan, order[child], order[child + 1]);
        if (!comes_before(plan, moved, order[child]))
            break;
        order[from] = order[child];
    }
    order[from] = moved;
}

/* Largest first: the small ones find room between. Heap sort: in place, never quadratic. */
static void sort_roots(const ln__plan *plan, int32_t *order, size_t n)
{
    for (size_t i = n / 2; i-- > 0; )
        sift(plan, order, i, n);
    for (size_t i = n; i-- > 1; ) {
        int32_t last = order[i];
        order[i] = order[0];
        order[0] = last;
        sift(plan, order, 0, i);
    }
}

/* Lowest place beside those that live at the same time. Spots are in the order of the arena. */
static size_t find_place(const spot *spots, size_t n, const ln__storage *b)
{
    size_t at = 0, floats = rounded(b->floats);
    for (size_t i = 0; i < n && spots[i].at < at + floats; i++)
        if (spots[i].last >= b->first && b->last >= spots[i].first)
            at = LN__MAX(at, spots[i].end);
    return at;
}

static void root_lifetimes(ln__plan *plan)
{
    for (size_t i = 0; i < plan->n_buffers; i++) {
        const ln__storage *s = &plan->buffers[i];
        ln__storage *root = &plan->buffers[s->root];
        if (s->first >= 0) {
            root->first = root->first < 0 ? s->first : LN__MIN(root->first, s->first);
            root->last = LN__MAX(root->last, s->last);
        }
    }
}

static ln_status lay_out(ln__plan *plan, ln_error *err)
{
    int32_t *order = ln__arena_calloc(&plan->memory, plan->n_buffers + 1, sizeof *order);
    spot *spots = ln__array(&plan->engine->ctx, plan->n_buffers + 1, sizeof *spots);
    plan->place = ln__arena_calloc(&plan->memory, plan->n_buffers + 1, sizeof *plan->place);
    size_t n = 0;
    if (!order || !spots || !plan->place) {
        ln__free(&plan->engine->ctx, spots);
        return ln__lower_nomem(plan, err);
    }
    root_lifetimes(plan);
    for (size_t i = 0; i < plan->n_buffers; i++) {
        const ln__storage *s = &plan->buffers[i];
        if (s->root == (int32_t)i && s->home == LN__HOME_ARENA && s->first >= 0)
            order[n++] = (int32_t)i;
    }
    sort_roots(plan, order, n);
    for (size_t i = 0; i < n; i++) {
        const ln__storage *s = &plan->buffers[order[i]];
        size_t at = find_place(spots, i, s), low = 0;
        for (size_t high = i; low < high; ) {
            size_t middle = (low + high) / 2;
            if (spots[middle].at < at)
                low = middle + 1;
            else
                high = middle;
        }
        memmove(spots + low + 1, spots + low, (i - low) * sizeof *spots);
        spots[low] = (spot){ at, at + rounded(s->floats), s->first, s->last };
        plan->place[order[i]] = at * sizeof(float);
        plan->arena_bytes = LN__MAX(plan->arena_bytes, spots[low].end * sizeof(float));
    }
    ln__free(&plan->engine->ctx, spots);
    return LN_OK;
}

ln_status ln__arrange(ln__plan *plan, ln_error *err)
{
    const ln__ctx *ctx = &plan->engine->ctx;
    arranging a = { .plan = plan, .buffers = plan->buffers };
    ln_status st = LN_OK;

    a.of = ln__array(ctx, plan->n_buffers + 1, sizeof *a.of);
    a.before = ln__array(ctx, plan->n_steps + 1, sizeof *a.before);
    a.after = ln__array(ctx, plan->n_steps + 1, sizeof *a.after);
    if (!a.of || !a.before || !a.after)
        st = ln__lower_nomem(plan, err);
    else
        lifetimes(&a);
    for (size_t t = 0; st == LN_OK && t < plan->n_steps; t++) {
        if (plan->steps[t].kind == LN__STEP_COPY)
            leave_out_copy(&a, (int32_t)t);
        else if (plan->steps[t].in_place >= 0)
            work_in_place(&a, (int32_t)t);
    }
    for (size_t i = 0; st == LN_OK && i < plan->n_buffers; i++)
        settle(&a, (int32_t)i);
    ln__free(ctx, a.of);
    ln__free(ctx, a.before);
    ln__free(ctx, a.after);
    return st < 0 ? st : lay_out(plan, err);
}
