/* arena.c - many small things freed at once, and names looked up in them. */
#include "base/base.h"

#include <string.h>

#define FIRST_BLOCK  ((size_t)8 << 10)
#define LARGEST_STEP ((size_t)1 << 20)  /* blocks grow up to this */
#define LARGE        4096u              /* from here on aligned to 64 */

/* The head takes a whole cache line, so that what follows it is aligned. */
struct ln__arena_block {
    struct ln__arena_block *next;
    size_t size, used;
};
#define HEAD 64u
_Static_assert(sizeof(struct ln__arena_block) <= HEAD, "block head");

void ln__arena_init(ln__arena *arena, const ln__ctx *ctx, size_t limit)
{
    arena->ctx = ctx;
    arena->blocks = NULL;
    arena->total = 0;
    arena->limit = limit;
    arena->full = false;
}

static size_t align_up(size_t value, size_t align)
{
    return (value + align - 1) & ~(align - 1);
}

static struct ln__arena_block *new_block(ln__arena *arena, size_t size)
{
    size_t step = arena->blocks == NULL ? FIRST_BLOCK : arena->blocks->size * 2;
    struct ln__arena_block *block;
    size_t total;

    step = LN__MIN(step, LARGEST_STEP);
    if (!ln__add_size(LN__MAX(size, step), HEAD, &total))
        return NULL;
    block = ln__alloc(arena->ctx, total);
    if (block == NULL)
        return NULL;
    block->size = total - HEAD;
    block->used = 0;
    /* A block taken whole by one large thing goes behind the one being filled. */
    if (size > step && arena->blocks != NULL) {
        block->next = arena->blocks->next;
        arena->blocks->next = block;
    } else {
        block->next = arena->blocks;
        arena->blocks = block;
    }
    return block;
}

void *ln__arena_alloc(ln__arena *arena, size_t size)
{
    size_t align = size >= LARGE ? 64 : 16;
    struct ln__arena_block *block = arena->blocks;
    size_t taken, start;

    if (size > PTRDIFF_MAX)
        return NULL;
    taken = align_up(size == 0 ? 1 : size, 16);
    if (arena->limit != 0
        && (arena->total > arena->limit || taken > arena->limit - arena->total)) {
        arena->full = true;
        return NULL;
    }
    start = block == NULL ? 0 : align_up(block->used, align);
    if (block == NULL || start > block->size || taken > block->size - start) {
        block = new_block(arena, taken);
        if (block == NULL)
            return NULL;
        start = 0;
    }
    block->used = start + taken;
    arena->total += taken;
    return (unsigned char *)block + HEAD + start;
}

void *ln__arena_calloc(ln__arena *arena, size_t count, size_t size)
{
    size_t bytes;
    void *ptr;

    if (!ln__mul_size(count, size, &bytes))
        return NULL;
    ptr = ln__arena_alloc(arena, bytes);
    if (ptr != NULL)
        memset(ptr, 0, bytes);
    return ptr;
}

char *ln__arena_strndup(ln__arena *arena, const char *text, size_t length)
{
    size_t size;
    char *copy;

    if (!ln__add_size(length, 1, &size))
        return NULL;
    copy = ln__arena_alloc(arena, size);
    if (copy != NULL) {
        if (length > 0)
            memcpy(copy, text, length);
        copy[length] = '\0';
    }
    return copy;
}

void ln__arena_free(ln__arena *arena)
{
    struct ln__arena_block *block = arena->blocks;

    while (block != NULL) {
        struct ln__arena_block *next = block->next;
        ln__free(arena->ctx, block);
        block = next;
    }
    arena->blocks = NULL;
    arena->total = 0;
    arena->full = false;
}

/* ---- Names -> index: open addressing, at most half full ------------------- */

struct ln__map_slot {
    const char *name;   /* NULL: free */
    uint64_t hash;
    int64_t index;
};

void ln__map_init(ln__map *map, ln__arena *arena)
{
    map->arena = arena;
    map->slots = NULL;
    map->used = map->capacity = 0;
}

/* FNV-1a, started from the map's address so that a file cannot be made whose
 * names all fall into one place, and mixed because the low bits pick the slot. */
static uint64_t hash_name(const ln__map *map, const char *name)
{
    uint64_t hash = 14695981039346656037u ^ ((uint64_t)(uintptr_t)map->slots * 0x9e3779b97f4a7c15u);

    for (; *name != '\0'; name++)
        hash = (hash ^ (unsigned char)*name) * 1099511628211u;
    hash ^= hash >> 32;
    hash *= 0xd6e8feb86659fd93u;
    return hash ^ (hash >> 32);
}

static struct ln__map_slot *find_slot(const ln__map *map, const char *name, uint64_t hash)
{
    size_t at = (size_t)hash & (map->capacity - 1);

    while (map->slots[at].name != NULL
           && (map->slots[at].hash != hash || strcmp(map->slots[at].name, name) != 0))
        at = (at + 1) & (map->capacity - 1);
    return &map->slots[at];
}

static bool grow_map(ln__map *map)
{
    ln__map larger = { map->arena, NULL, map->used, map->capacity == 0 ? 16 : map->capacity * 2 };

    larger.slots = ln__arena_calloc(map->arena, larger.capacity, sizeof *larger.slots);
    if (larger.slots == NULL)
        return false;
    for (size_t i = 0; i < map->capacity; i++) {
        const struct ln__map_slot *from = &map->slots[i];
        if (from->name != NULL) {
            uint64_t hash = hash_name(&larger, from->name);
            struct ln__map_slot *to = find_slot(&larger, from->name, hash);
            *to = *from;
            to->hash = hash;
        }
    }
    *map = larger;
    return true;
}

bool ln__map_put(ln__map *map, const char *name, int64_t index)
{
    struct ln__map_slot *slot;
    uint64_t hash;

    if (map->used >= map->capacity / 2 && !grow_map(map))
        return false;
    hash = hash_name(map, name);
    slot = find_slot(map, name, hash);
    if (slot->name == NULL) {
        slot->name = name;
        slot->hash = hash;
        map->used++;
    }
    slot->index = index;
    return true;
}

int64_t ln__map_get(const ln__map *map, const char *name)
{
    const struct ln__map_slot *slot;

    if (map->capacity == 0)
        return -1;
    slot = find_slot(map, name, hash_name(map, name));
    return slot->name == NULL ? -1 : slot->index;
}
