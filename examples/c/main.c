/* Continues a text with a trained model: example RUN PROMPT */
#include <heed.h>
#include <stdio.h>

static int show(const char* piece, void* user) {
  (void)user;
  fputs(piece, stdout);
  fflush(stdout);
  return 0; /* go on */
}

int main(int argc, char** argv) {
  if (argc != 3) {
    fprintf(stderr, "usage: %s RUN PROMPT\n", argv[0]);
    return 2;
  }
  heed_model* model = heed_load(argv[1]);
  if (model == NULL) {
    fprintf(stderr, "%s\n", heed_last_error());
    return 1;
  }
  heed_generate_options options = heed_generate_defaults(model);
  options.max_tokens = 100;
  options.temperature = 0.0;
  fputs(argv[2], stdout);
  const heed_status status = heed_generate(model, argv[2], &options, show, NULL, NULL);
  puts("");
  if (status != HEED_OK) fprintf(stderr, "%s\n", heed_last_error());
  heed_free(model);
  return status;
}
