/* driver.c - runs a fuzz target once on every file of the folders and files
 * named, without libFuzzer: corpora are regression tests on any compiler. */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t inputs;

static int run_file(const char *path, size_t size)
{
    /* Exactly as large as the input: a sanitizer sees the first byte past it. */
    uint8_t *bytes = malloc(size > 0 ? size : 1);
    FILE *file = fopen(path, "rb");
    int ok = bytes != NULL && file != NULL && fread(bytes, 1, size, file) == size;

    if (ok) {
        LLVMFuzzerTestOneInput(bytes, size);
        inputs++;
    } else {
        fprintf(stderr, "%s: cannot be read\n", path);
    }
    if (file != NULL)
        fclose(file);
    free(bytes);
    return ok;
}

static int run_path(const char *path);

static int run_folder(const char *path)
{
    struct dirent **entries;
    int count = scandir(path, &entries, NULL, alphasort), ok = count >= 0;

    for (int i = 0; i < count; i++) {
        char inner[4096];
        if (entries[i]->d_name[0] != '.') {
            snprintf(inner, sizeof inner, "%s/%s", path, entries[i]->d_name);
            ok = run_path(inner) && ok;
        }
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
    return ok;
}

static int run_path(const char *path)
{
    struct stat info;

    if (stat(path, &info) != 0) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return 0;
    }
    return S_ISDIR(info.st_mode) ? run_folder(path) : run_file(path, (size_t)info.st_size);
}

int main(int argc, char **argv)
{
    int ok = 1;

    for (int i = 1; i < argc; i++)
        ok = run_path(argv[i]) && ok;
    printf("%zu inputs\n", inputs);
    if (inputs == 0)
        fprintf(stderr, "no input was found\n");
    return ok && inputs > 0 ? 0 : 1;
}
