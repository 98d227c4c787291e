/* classify.c - what is in these pictures, and how early the network knew.
 *
 *     cc classify.c $(pkg-config --cflags --libs leenet)
 *     ./a.out early.onnx cat.jpg dog.png
 */
#include <leenet/leenet.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    ln_model *model = NULL;
    ln_session *session = NULL;
    ln_error err;
    int failed = 0;

    if (argc < 3) {
        fprintf(stderr, "usage: %s MODEL.onnx PICTURE...\n", argv[0]);
        return 2;
    }
    if (ln_model_load(&model, argv[1], NULL, &err) < 0
        || ln_session_open(&session, model, NULL, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        ln_model_free(model);
        return 1;
    }
    for (int i = 2; i < argc; i++) {
        ln_image picture = LN_IMAGE_INIT;
        ln_result answer;

        picture.path = argv[i];
        if (ln_infer_image(session, &picture, &answer, NULL, &err) < 0) {
            fprintf(stderr, "%s\n", err.text);
            failed = 1;
            continue;
        }
        printf("%s: %d %s, %.1f %%, exit %u of %u, %.0f %% of the work\n", argv[i],
               (int)answer.label, ln_model_class_name(model, answer.label),
               100.0 * answer.probability, (unsigned)answer.exit,
               (unsigned)ln_model_exit_count(model), 100.0 * answer.macs_share);
    }
    ln_session_free(session);
    ln_model_free(model);
    return failed;
}
