/* heed for C, and for whatever calls C: load a trained model, run it, write text with it.
 *
 *   heed_model* model = heed_load("runs/shakespeare-char");
 *   if (!model) { fprintf(stderr, "%s\n", heed_last_error()); return 1; }
 *   char* text = NULL;
 *   if (heed_generate(model, "ROMEO:", NULL, NULL, NULL, &text) == HEED_OK) puts(text);
 *   heed_free_text(text);
 *   heed_free(model);
 *
 * A handle belongs to whoever got it. Calls on one model must not overlap. Functions that return a
 * pointer return NULL when they fail, the others a heed_status; heed_last_error() then says why.
 * Text is UTF-8, sizes are counts of elements. Nothing in this file changes but by additions: a
 * struct that may grow begins with its own size.
 */
#ifndef HEED_H
#define HEED_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define HEED_API __attribute__((visibility("default")))
#else
#define HEED_API
#endif

typedef enum heed_status {
  HEED_OK = 0,
  HEED_FAILED = 1,        /* an operation failed */
  HEED_WRONG_REQUEST = 2, /* what was asked for cannot be: a missing file, a wrong shape */
  HEED_STOPPED = 3        /* a callback stopped it */
} heed_status;

typedef enum heed_dtype { HEED_F32 = 0, HEED_F64 = 1, HEED_I32 = 2, HEED_I64 = 3 } heed_dtype;

enum { HEED_MAX_RANK = 8 };

/* A tensor in the caller's memory, row-major. */
typedef struct heed_tensor {
  const char* name; /* of the argument: "ids", "x", "lengths" */
  heed_dtype dtype;
  int32_t rank;
  int64_t shape[HEED_MAX_RANK];
  const void* data;
} heed_tensor;

typedef struct heed_model heed_model;
typedef struct heed_result heed_result;

/* "0.1.0". */
HEED_API const char* heed_version(void);
/* What went wrong in this thread's last call that failed; "" before the first. Valid until the next
 * call of this thread. */
HEED_API const char* heed_last_error(void);

/* Loads a run's folder (its latest good checkpoint) or a checkpoint. */
HEED_API heed_model* heed_load(const char* path);
HEED_API void heed_free(heed_model* model);

/* The model's whole configuration as JSON, `type` first. Valid until the model is freed. */
HEED_API const char* heed_config(const heed_model* model);
/* The names that heed_run() takes, one a line; a trailing '?' marks an optional one. Valid until
 * the model is freed. */
HEED_API const char* heed_inputs(const heed_model* model);

/* Runs the model on `count` named inputs, as `heed probe` runs it: a language model takes "ids" [B,
 * N] and gives logits [B, N, vocab], a classifier of images "x" [B, H, W, C], one of texts "ids"
 * and "lengths". Evaluation mode, no gradients. The result holds one tensor or more. */
HEED_API heed_result* heed_run(heed_model* model, const heed_tensor* inputs, size_t count);
HEED_API size_t heed_result_count(const heed_result* result);
/* Tensor `index` < heed_result_count(); floating ones are f32 (f64 if the model computes in it).
 * Its name is NULL; its data are valid until the result is freed. */
HEED_API heed_tensor heed_result_tensor(const heed_result* result, size_t index);
HEED_API void heed_result_free(heed_result* result);

/* Token ids of a text: returns how many there are, and writes as many as there is room for (ids may
 * be NULL for a capacity of 0); -1 on failure, for a model without a tokenizer too. */
HEED_API int64_t heed_encode(heed_model* model, const char* text, int64_t* ids, size_t capacity);
/* The text of token ids, to be freed by heed_free_text(). */
HEED_API heed_status heed_decode(heed_model* model, const int64_t* ids, size_t count, char** text);

typedef struct heed_generate_options {
  size_t size; /* sizeof(heed_generate_options) */
  int64_t max_tokens;
  double temperature; /* 0 takes the likeliest token */
  int64_t top_k;      /* 0 for all */
  double top_p;       /* 1 for all */
  int64_t seed;
} heed_generate_options;

/* What the model's recipe suggests. */
HEED_API heed_generate_options heed_generate_defaults(const heed_model* model);

/* Hears of each new piece of text, whole characters; another return than 0 stops the writing. */
typedef int (*heed_on_text)(const char* piece, void* user);

/* Continues a prompt, or answers it, by the model's task. `options` NULL: the defaults; `on_text`
 * and `text` may be NULL. `*text` (without the prompt) is to be freed by heed_free_text(); a
 * stopped call gives what there was. */
HEED_API heed_status heed_generate(heed_model* model, const char* prompt,
                                   const heed_generate_options* options, heed_on_text on_text,
                                   void* user, char** text);
HEED_API void heed_free_text(char* text);

#ifdef __cplusplus
}
#endif

#endif /* HEED_H */
