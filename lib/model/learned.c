/* learned.c - which rows heads, gates and policies have learned from: a set of their names' hashes.
 *
 * Two names share a hash about once in 2^64 pairs, so among a million rows and a million others a row is
 * taken for another once in ten million times. */
#include "model/model.h"

static uint64_t hash_of(const char *name)
{
    uint64_t hash = UINT64_C(14695981039346656037);

    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * UINT64_C(1099511628211);
    hash = (hash ^ hash >> 32) * UINT64_C(0xd6e8feb86659fd93);
    hash ^= hash >> 32;
    return hash ? hash : 1;     /* 0 marks a free slot */
}

static uint64_t *slot_of(const ln__learned *set, uint64_t hash)
{
    size_t at = (size_t)hash & (set->slots - 1);

    while (set->hash[at] && set->hash[at] != hash)
        at = (at + 1) & (set->slots - 1);
    return &set->hash[at];
}

/* A quarter of the slots stays free. */
static ln_status make_room(ln_model *model, size_t more, ln_error *err)
{
    ln__learned old = model->learned, grown = { .slots = old.slots ? old.slots : 64 };

    while (grown.slots / 4 * 3 < old.count + more)
        grown.slots *= 2;
    if (grown.slots == old.slots)
        return LN_OK;
    grown.hash = ln__calloc(&model->ctx, grown.slots, sizeof *grown.hash);
    if (!grown.hash)
        return ln__fail_nomem(err, &model->ctx, grown.slots * sizeof *grown.hash);
    for (size_t i = 0; i < old.slots; i++)
        if (old.hash[i])
            *slot_of(&grown, old.hash[i]) = old.hash[i];
    grown.count = old.count;
    ln__free(&model->ctx, old.hash);
    model->learned = grown;
    return LN_OK;
}

void ln__learned_clear(ln_model *model)
{
    ln__free(&model->ctx, model->learned.hash);
    model->learned = (ln__learned){ 0 };
}

ln_status ln__learned_add(ln_model *model, const ln_data *data, ln_error *err)
{
    size_t rows = ln__data_rows(data);
    ln_status st = make_room(model, rows, err);

    for (size_t r = 0; st == LN_OK && r < rows; r++) {
        const char *name = ln__data_row_name(data, r);
        uint64_t hash = hash_of(name), *slot = slot_of(&model->learned, hash);
        if (!*name || *slot)
            continue;
        *slot = hash;
        model->learned.count++;
    }
    return st;
}

size_t ln__learned_among(const ln_model *model, const ln_data *data, size_t *first)
{
    size_t found = 0;

    for (size_t r = 0; model->learned.count && r < ln__data_rows(data); r++) {
        const char *name = ln__data_row_name(data, r);
        if (!*name || !*slot_of(&model->learned, hash_of(name)))
            continue;
        if (found++ == 0)
            *first = r;
    }
    return found;
}
