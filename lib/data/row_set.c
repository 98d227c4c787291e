/* row_set.c - which rows a data set holds, whatever it is called: by the files they lie in, and where. A set keeps hashes.
 *
 * Two rows share a hash about once in 2^64 pairs, so among a million rows and a million others a row is
 * taken for another once in ten million times. */
#include "data/data_private.h"

#include <string.h>
#include <sys/stat.h>

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * UINT64_C(0xd6e8feb86659fd93);
    return hash ^ hash >> 32;
}

uint64_t ln__file_identity(const char *path)
{
    struct stat file;

    if (stat(path, &file) != 0)
        return 0;
    /* Numbers of files that are gone are used again, so size and time belong to it. */
    const uint64_t known[] = { (uint64_t)file.st_dev, (uint64_t)file.st_ino, (uint64_t)file.st_size, (uint64_t)file.st_mtim.tv_sec,
                               (uint64_t)file.st_mtim.tv_nsec };
    uint64_t identity = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < LN__COUNT(known); i++)
        identity = mix(identity, known[i]);
    return identity ? identity : 1;
}

/* 0: nobody knows. */
static uint64_t identity_of(const ln_data *data, size_t row)
{
    if (!data->rows)
        return 0;
    const ln__row *of = &data->rows[row];
    uint64_t file = data->n_blobs ? data->blobs[of->blob].identity : ln__file_identity(of->name);
    uint64_t identity = file ? mix(file, of->at) : 0;
    return file && !identity ? 1 : identity;
}

static uint64_t *slot_of(const ln__row_set *set, uint64_t hash)
{
    size_t at = (size_t)hash & (set->slots - 1);

    while (set->hash[at] && set->hash[at] != hash)
        at = (at + 1) & (set->slots - 1);
    return &set->hash[at];
}

/* A quarter of the slots stays free. */
static ln_status make_room(ln__row_set *set, size_t more, const ln__ctx *ctx, ln_error *err)
{
    ln__row_set grown = { .slots = set->slots ? set->slots : 64, .count = set->count };

    while (grown.slots / 4 * 3 < set->count + more)
        grown.slots *= 2;
    if (grown.slots == set->slots)
        return LN_OK;
    grown.hash = ln__calloc(ctx, grown.slots, sizeof *grown.hash);
    if (!grown.hash)
        return ln__fail_nomem(err, ctx, grown.slots * sizeof *grown.hash);
    for (size_t i = 0; i < set->slots; i++)
        if (set->hash[i])
            *slot_of(&grown, set->hash[i]) = set->hash[i];
    ln__free(ctx, set->hash);
    *set = grown;
    return LN_OK;
}

void ln__row_set_clear(ln__row_set *set, const ln__ctx *ctx)
{
    ln__free(ctx, set->hash);
    *set = (ln__row_set){ 0 };
}

ln_status ln__row_set_copy(ln__row_set *out, const ln__row_set *from, const ln__ctx *ctx, ln_error *err)
{
    *out = *from;
    out->hash = ln__array(ctx, from->slots, sizeof *out->hash);
    if (from->slots && !out->hash) {
        *out = (ln__row_set){ 0 };
        return ln__fail_nomem(err, ctx, from->slots * sizeof *out->hash);
    }
    if (from->slots)
        memcpy(out->hash, from->hash, from->slots * sizeof *out->hash);
    return LN_OK;
}

ln_status ln__row_set_add(ln__row_set *set, const ln_data *data, const ln__ctx *ctx, ln_error *err)
{
    size_t rows = ln__data_rows(data);
    ln_status st = make_room(set, rows, ctx, err);

    for (size_t r = 0; st == LN_OK && r < rows; r++) {
        uint64_t identity = identity_of(data, r), *slot = slot_of(set, identity);
        if (!identity || *slot)
            continue;
        *slot = identity;
        set->count++;
    }
    return st;
}

size_t ln__row_set_among(const ln__row_set *set, const ln_data *data, size_t *first)
{
    size_t found = 0;

    for (size_t r = 0; set->count && r < ln__data_rows(data); r++) {
        uint64_t identity = identity_of(data, r);
        if (!identity || !*slot_of(set, identity))
            continue;
        if (found++ == 0)
            *first = r;
    }
    return found;
}

ln_status ln__data_common(const ln_data *data, const ln_data *other, size_t *count, size_t *first, ln_error *err)
{
    ln__row_set set = { 0 };
    ln_status st = ln__row_set_add(&set, other, &data->ctx, err);

    *count = st == LN_OK ? ln__row_set_among(&set, data, first) : 0;
    ln__row_set_clear(&set, &data->ctx);
    return st;
}
