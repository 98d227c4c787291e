/* cli_output.c - files for results: made beside their name and moved there when they are whole. */
#define _XOPEN_SOURCE 700     /* realpath */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tool.h"

static int cannot_write(const char *command, const char *path, const char *why)
{
    fprintf(stderr, "leenet %s: cannot write '", command);
    print_safe(stderr, path);
    fprintf(stderr, "': %s\n", why);
    return TOOL_FAILED;
}

/* A new file of that name with a suffix as long as the library's, or -1. The caller's umask decides its mode, so not mkstemp. */
static int create_beside(const char *path, char **beside)
{
    size_t size = strlen(path) + sizeof ".new-000000000000";
    int file = -1;

    *beside = tool_alloc(size, 1);
    for (unsigned attempt = 0; attempt < 100; attempt++) {
        snprintf(*beside, size, "%s.new-%06x%06x", path, (unsigned)getpid() & 0xffffffu, attempt);
        file = open(*beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (file >= 0 || errno != EEXIST)
            break;
    }
    return file;
}

/* Where a file of that name goes: as with ln_model_save, to what a link leads to. 0, or errno. */
static int follow_link(char target[PATH_MAX], const char *path)
{
    struct stat there;

    if (strlen(path) >= PATH_MAX)
        return ENAMETOOLONG;
    memcpy(target, path, strlen(path) + 1);
    return lstat(path, &there) == 0 && S_ISLNK(there.st_mode) && !realpath(path, target) ? errno : 0;
}

/* By trying, the way ln_model_save does it: rights alone do not tell of a file system that is read-only or makes no files. */
int check_writable(const char *command, const char *path)
{
    struct stat there;
    char target[PATH_MAX], *beside;
    int code = TOOL_DONE, failed = follow_link(target, path), file;

    if (failed)
        return cannot_write(command, path, strerror(failed));
    if (strncmp(path, "/dev/", 5) == 0 || strncmp(path, "/proc/", 6) == 0)
        return cannot_write(command, path, "it is not a plain file");
    if (stat(path, &there) == 0 && !S_ISREG(there.st_mode))
        return cannot_write(command, path, S_ISDIR(there.st_mode) ? "it is a folder" : "it is not a plain file");
    file = create_beside(target, &beside);
    if (file < 0) {
        code = cannot_write(command, path, strerror(errno));
    } else {
        close(file);
        unlink(beside);
    }
    free(beside);
    return code;
}

/* The file of a SPEC or FILE:all, whose parts stand behind colons. */
static bool find_source(const char *spec, struct stat *info)
{
    char *path = strdup(spec), *colon = path;
    bool found = false;

    while (path && colon && !(found = stat(path, info) == 0))
        if ((colon = strrchr(path, ':')))
            *colon = '\0';
    free(path);
    return found;
}

int check_result(const char *command, const char *path, const char *const *read, size_t count)
{
    struct stat there, input;
    bool exists = stat(path, &there) == 0;

    for (size_t i = 0; i < count; i++)
        if (read[i] && (strcmp(read[i], path) == 0 ||
                        (exists && find_source(read[i], &input) && there.st_dev == input.st_dev && there.st_ino == input.st_ino)))
            return cannot_write(command, path, "it is a file that is read or written otherwise");
    return check_writable(command, path);
}

/* What is there is replaced, and its mode kept. */
int output_open(output *out, const char *command, const char *path)
{
    struct stat there;
    int failed, file;

    *out = (output){ .command = command, .path = path };
    failed = follow_link(out->target, path);
    if (failed)
        return cannot_write(command, path, strerror(failed));
    file = create_beside(out->target, &out->beside);
    if (file >= 0 && stat(out->target, &there) == 0)
        (void)fchmod(file, there.st_mode & 0777);
    out->file = file >= 0 ? fdopen(file, "w") : NULL;
    if (out->file)
        return TOOL_DONE;
    int code = cannot_write(command, path, strerror(errno));
    if (file >= 0) {
        close(file);
        unlink(out->beside);
    }
    free(out->beside);
    return code;
}

int output_close(output *out, bool whole)
{
    bool lost = ferror(out->file) || fflush(out->file) != 0 || fsync(fileno(out->file)) != 0;
    int code = TOOL_DONE;

    lost |= fclose(out->file) != 0;
    if (whole && (lost || rename(out->beside, out->target) != 0))
        code = cannot_write(out->command, out->path, strerror(errno));
    if (!whole || code != TOOL_DONE)
        unlink(out->beside);
    free(out->beside);
    return code;
}
