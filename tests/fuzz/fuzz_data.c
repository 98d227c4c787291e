/* fuzz_data.c - files of labelled pictures: the first byte chooses which kind
 * the others are, and whether bad pictures are skipped. */
#include "fuzz_heap.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "data/data.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const endings[] = { ".tar", ".tar.gz", "-images-idx3-ubyte", "-images-idx3-ubyte.gz", ".bin" };

static int write_file(const char *path, const uint8_t *bytes, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    int ok = fd >= 0 && write(fd, bytes, size) == (ssize_t)size;

    if (fd >= 0)
        close(fd);
    return ok;
}

static void read_rows(ln_data *data)
{
    ln__feed feed = { .channels = 3, .height = 8, .width = 8 };
    static float inputs[4 * 3 * 8 * 8];
    int32_t labels[4];
    ln__reader *reader;
    size_t n = 1, rows = LN__MIN(ln_data_rows(data), (size_t)20);

    if (ln__preprocess_resolve(&feed.preprocess, NULL, 3, 8, 8, NULL) < 0)
        abort();
    if (ln__reader_open(&reader, data, &feed, 4, 0, rows, NULL) < 0)
        return;
    while (n > 0 && ln__reader_next(reader, inputs, labels, NULL, &n, NULL) >= 0)
        for (size_t i = 0; i < n; i++)
            if (labels[i] < 0 || (uint32_t)labels[i] >= ln_data_class_count(data))
                abort();
    ln__reader_close(reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    ln_data_options options = LN_DATA_OPTIONS_INIT;
    char path[100], labels[100] = "";
    ln_allocator allocator;
    const char *ending;
    ln_data *data;
    fuzz_heap heap;

    if (size == 0)
        return 0;
    ending = endings[bytes[0] % 5];
    snprintf(path, sizeof path, "/tmp/leenet-fuzz-%ld%s", (long)getpid(), ending);
    if (!write_file(path, bytes + 1, size - 1))
        return 0;
    if (strstr(ending, "images") != NULL) {
        /* The label file beside it: ten rows of ten classes. */
        static const uint8_t ten[] = { 0, 0, 8, 1, 0, 0, 0, 10, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 };
        snprintf(labels, sizeof labels, "/tmp/leenet-fuzz-%ld-labels-idx1-ubyte", (long)getpid());
        if (!write_file(labels, ten, sizeof ten))
            return 0;
    }
    allocator = fuzz_heap_allocator(&heap);
    options.allocator = &allocator;
    options.threads = 1;
    options.max_pixels = 1 << 20;
    options.skip_bad = bytes[0] / 5 % 2;
    if (ln_data_open(&data, path, &options, NULL) >= 0) {
        read_rows(data);
        ln_data_free(data);
    }
    fuzz_heap_end(&heap);
    unlink(path);
    if (labels[0] != '\0')
        unlink(labels);
    return 0;
}
