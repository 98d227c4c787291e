/* pace.c - how long stages take, for answers by a deadline.
 *
 * Every run of a stage (and of a head with its gate) is timed and goes into a
 * running mean and a running deviation from it, as TCP estimates its round trip
 * (Jacobson, "Congestion avoidance and control", 1988). A stage is expected to
 * take the mean and two deviations. One run that lost the processor must not
 * count for much, since a stage that looks too slow to be started is not timed
 * again: later runs are taken for at most twice the mean, and each time a stage
 * is held back its estimate moves a little towards the fastest run. */
#include "session/lane.h"

#include <math.h>

static const double FASTER = 0.25, SLOWER = 0.125, SPREAD = 0.25, FORGET = 1.0 / 64;

void ln__pace_note(ln__pace *pace, double seconds)
{
    if (pace->mean <= 0) {
        *pace = (ln__pace){ seconds, seconds / 8, seconds };
        return;
    }
    double seen = fmin(seconds, 2 * pace->mean), off = seen - pace->mean;
    pace->spread += SPREAD * (fabs(off) - pace->spread);
    pace->mean += (off < 0 ? FASTER : SLOWER) * off;
    pace->best = fmin(pace->best, seconds);
}

static void held_back(ln__pace *pace)
{
    pace->mean += FORGET * (pace->best - pace->mean);
    pace->spread -= FORGET * pace->spread;
}

/* Where a size has not run yet, a larger one's time is an upper bound, and a smaller one's in proportion. */
static double expect(const ln__lane *lane, const ln__pace *table, int32_t s, int32_t size)
{
    for (int32_t z = size; z < lane->n_sizes; z++)
        if (table[z * lane->n_stages + s].mean > 0)
            return table[z * lane->n_stages + s].mean + 2 * table[z * lane->n_stages + s].spread;
    for (int32_t z = size - 1; z >= 0; z--)
        if (table[z * lane->n_stages + s].mean > 0)
            return ldexp(table[z * lane->n_stages + s].mean + 2 * table[z * lane->n_stages + s].spread, size - z);
    return 0.0;
}

double ln__lane_expect(const ln__lane *lane, int32_t s, size_t rows)
{
    double seconds = 0.0;

    while (rows > 0) {
        int32_t size = ln__lane_size_index((int64_t)LN__MIN(rows, (size_t)lane->group));
        seconds += expect(lane, lane->stage_pace, s, size) + expect(lane, lane->head_pace, s, size);
        rows -= (size_t)1 << size;
    }
    return seconds;
}

/* The head here and rows of the group that have yet to come to this exit take their time first. */
bool ln__lane_affords(ln__lane *lane, int32_t s, int64_t rows)
{
    size_t behind = s ? lane->pools[s].count : lane->rows_to_come;
    double needed = expect(lane, lane->head_pace, s, ln__lane_size_index(rows)) + ln__lane_expect(lane, s, behind) +
                    ln__lane_expect(lane, s + 1, lane->pools[s + 1].count);

    if (ln__now() + needed <= lane->deadline)
        return true;
    for (int32_t z = 0; z < lane->n_sizes; z++) {
        held_back(&lane->stage_pace[z * lane->n_stages + s + 1]);
        if (s + 2 < lane->n_stages)
            held_back(&lane->head_pace[z * lane->n_stages + s + 1]);
    }
    return false;
}

bool ln__lane_is_paced(const ln__lane *lane)
{
    for (int32_t s = 0; s < lane->n_stages; s++) {
        bool last = s + 1 == lane->n_stages;
        if (expect(lane, lane->stage_pace, s, 0) <= 0 || (!last && expect(lane, lane->head_pace, s, 0) <= 0))
            return false;
    }
    return true;
}

void ln__lanes_share_pace(ln__lane *lanes, uint32_t n)
{
    int32_t entries = lanes[0].n_sizes * lanes[0].n_stages;

    for (uint32_t i = 1; i < n; i++)
        for (int32_t at = 0; at < entries; at++) {
            ln__lane *a = &lanes[0], *b = &lanes[i];
            if (a->stage_pace[at].mean <= 0)
                a->stage_pace[at] = b->stage_pace[at];
            if (a->head_pace[at].mean <= 0)
                a->head_pace[at] = b->head_pace[at];
        }
    for (uint32_t i = 1; i < n; i++)
        for (int32_t at = 0; at < entries; at++) {
            if (lanes[i].stage_pace[at].mean <= 0)
                lanes[i].stage_pace[at] = lanes[0].stage_pace[at];
            if (lanes[i].head_pace[at].mean <= 0)
                lanes[i].head_pace[at] = lanes[0].head_pace[at];
        }
}
