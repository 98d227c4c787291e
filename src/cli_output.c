/* cli_output.c - files for results: made beside their name and moved there when they are whole. */
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

/* By trying, the way ln_model_save does it: rights alone do not tell of a file system that is read-only or makes no files. */
int check_writable(const char *command, const char *path)
{
    struct stat there;
    char *beside;
    int code = TOOL_DONE, file;

    if (stat(path, &there) == 0 && !S_ISREG(there.st_mode))
        return cannot_write(command, path, S_ISDIR(there.st_mode) ? "it is a folder" : "it is not a plain file");
    file = create_beside(path, &beside);
    if (file < 0) {
        code = cannot_write(command, path, strerror(errno));
    } else {
        close(file);
        unlink(beside);
    }
    free(beside);
    return code;
}

int check_result(const char *command, const char *path, const char *input)
{
    struct stat there, read;

    if (input && stat(path, &there) == 0 && stat(input, &read) == 0 && there.st_dev == read.st_dev && there.st_ino == read.st_ino)
        return cannot_write(command, path, "it is a file that is read");
    return check_writable(command, path);
}

/* As ln_model_save: what is there is replaced, and its mode kept. */
int output_open(output *out, const char *command, const char *path)
{
    struct stat there;
    int file;

    *out = (output){ .command = command, .path = path };
    file = create_beside(path, &out->beside);
    if (file >= 0 && stat(path, &there) == 0)
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
    if (whole && (lost || rename(out->beside, out->path) != 0))
        code = cannot_write(out->command, out->path, strerror(errno));
    if (!whole || code != TOOL_DONE)
        unlink(out->beside);
    free(out->beside);
    return code;
}
