/* data_parts.c - the row parts at the end of a source: ":part=1/5:first=100". */
#include "data/data_private.h"

#include <string.h>

static const struct { const char *name; int kind; } kinds[] = {
    { "part=", LN__PART }, { "not=", LN__PART_NOT }, { "share=", LN__PART_SHARE }, { "first=", LN__PART_FIRST },
    { "skip=", LN__PART_SKIP }
};

/* Of parts, one of M; of shares, what is more than none and at most all. */
static bool fraction_is_sane(const ln__part *part)
{
    return part->kind == LN__PART_SHARE ? part->k > 0 && part->k <= part->m && part->m <= INT32_MAX : part->k < part->m;
}

static bool parse_fraction(ln__part *part, char *text)
{
    char *slash = strchr(text, '/');
    bool ok;

    if (!slash)
        return false;
    *slash = '\0';
    ok = ln__parse_uint(text, &part->k) && ln__parse_uint(slash + 1, &part->m) && fraction_is_sane(part);
    *slash = '/';
    return ok;
}

/* The last ":name=value" of `source` into *part, and cut off. *found is false
 * where the source does not end in one. */
static ln_status parse_last(ln__part *part, bool *found, char *source, ln_error *err)
{
    char *colon = strrchr(source, ':');

    *found = false;
    if (!colon)
        return LN_OK;
    for (size_t i = 0; i < LN__COUNT(kinds); i++) {
        size_t length = strlen(kinds[i].name);
        char *value = colon + 1 + length;
        bool ok;
        if (strncmp(colon + 1, kinds[i].name, length) != 0)
            continue;
        part->kind = kinds[i].kind;
        if (part->kind == LN__PART || part->kind == LN__PART_NOT || part->kind == LN__PART_SHARE)
            ok = parse_fraction(part, value);
        else
            ok = ln__parse_uint(value, &part->k);
        if (!ok)
            return ln__fail(err, LN_E_ARGUMENT, "'%s' in '%s' is not understood; part=K/M and not=K/M with K below M, share=K/M with K from 1 to M, first=N "
                            "and skip=N are",
                            colon, source);
        *found = true;
        *colon = '\0';
        return LN_OK;
    }
    return LN_OK;
}

ln_status ln__parts_parse(ln__parts *out, char *source, ln_error *err)
{
    out->count = 0;
    for (;;) {
        ln__part part = { 0 };
        bool found;
        ln_status st = parse_last(&part, &found, source, err);
        if (st < 0)
            return st;
        if (!found)
            break;
        if (out->count == LN__PARTS_MOST)
            return ln__fail(err, LN_E_ARGUMENT, "'%s': more than %d parts", source, LN__PARTS_MOST);
        out->part[out->count++] = part;
    }
    for (size_t i = 0; i < out->count / 2; i++) {
        ln__part swap = out->part[i];
        out->part[i] = out->part[out->count - 1 - i];
        out->part[out->count - 1 - i] = swap;
    }
    return LN_OK;
}

/* Place of `index` among 0..n-1 ordered by their reversed binary digits: 0, the middle one, those of the quarters, ... Any
 * first so many of that order are spread evenly, and stand among any more. */
static uint64_t spread_rank(uint64_t index, uint64_t n)
{
    uint64_t rank = 0;

    for (uint64_t bit = 1; bit <= index; bit <<= 1) {
        uint64_t low = index & (bit - 1);
        if (index & bit)
            rank += (n - low + 2 * bit - 1) / (2 * bit);    /* those that agree so far and have no digit here */
    }
    return rank;
}

/* Rounded, and at least one. */
static uint64_t share_of(const ln__part *part, uint64_t rows)
{
    uint64_t whole = rows / part->m * part->k, rest = rows % part->m * part->k;

    return LN__MAX(whole + (2 * rest + part->m) / (2 * part->m), 1);
}

static bool keeps(const ln__part *part, uint64_t index, uint64_t index_in_class, uint64_t class_rows)
{
    switch (part->kind) {
    case LN__PART_SHARE: return spread_rank(index_in_class, class_rows) < share_of(part, class_rows);
    case LN__PART:       return index_in_class % part->m == part->k;
    case LN__PART_NOT:   return index_in_class % part->m != part->k;
    case LN__PART_FIRST: return index < part->k;
    default:             return index >= part->k;
    }
}

ln_status ln__parts_apply(const ln__parts *parts, ln_data *data, ln_error *err)
{
    uint64_t *seen, *there;

    if (parts->count == 0)
        return LN_OK;
    seen = ln__array(&data->ctx, data->classes, 2 * sizeof *seen);
    if (!seen)
        return ln__fail_nomem(err, &data->ctx, data->classes * 2 * sizeof *seen);
    there = seen + data->classes;
    for (size_t p = 0; p < parts->count; p++) {
        size_t kept = 0;
        memset(seen, 0, data->classes * 2 * sizeof *seen);
        for (size_t i = 0; i < data->count; i++)
            there[data->rows[i].label]++;
        for (size_t i = 0; i < data->count; i++) {
            ln__row row = data->rows[i];
            if (keeps(&parts->part[p], i, seen[row.label]++, there[row.label]))
                data->rows[kept++] = row;
        }
        data->count = kept;
    }
    ln__free(&data->ctx, seen);
    return LN_OK;
}
