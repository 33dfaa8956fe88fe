#include "recipes/engine/c/heed.h"

#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "autograd/tape.h"
#include "data/tokenizer.h"
#include "kernels/copy/copy.h"
#include "nn/registry.h"
#include "recipes/engine/evaluate.h"
#include "recipes/engine/generate.h"
#include "recipes/engine/task_data.h"

struct heed_model {
  heed::recipes::LoadedRun run;
  const heed::nn::ModuleEntry* entry = nullptr;
  std::unique_ptr<heed::data::Tokenizer> tokenizer;  // or null
  std::string config, inputs;
};

struct heed_result {
  std::vector<heed::Tensor> tensors;
};

namespace {

using heed::DType;
using heed::Tensor;

thread_local std::string last_error;

/// Thrown out of a callback that stops the writing.
struct Stopped {};

/// Runs fn; what it throws becomes a status and the last error.
template <class Fn>
heed_status guarded(const Fn& fn) {
  try {
    fn();
    return HEED_OK;
  } catch (const heed::RequestError& error) {
    last_error = error.what();
    return HEED_WRONG_REQUEST;
  } catch (const Stopped&) {
    last_error = "stopped by the callback";
    return HEED_STOPPED;
  } catch (const std::exception& error) {
    last_error = error.what();
    return HEED_FAILED;
  } catch (...) {
    last_error = "an unknown error";
    return HEED_FAILED;
  }
}

void check_given(const void* pointer, const char* what) {
  if (pointer == nullptr) heed::fail_request("{} is NULL", what);
}

DType dtype_of(heed_dtype dtype) {
  switch (dtype) {
    case HEED_F32:
      return DType::f32;
    case HEED_F64:
      return DType::f64;
    case HEED_I32:
      return DType::i32;
    case HEED_I64:
      return DType::i64;
  }
  heed::fail_request("{} is no dtype", static_cast<int>(dtype));
}

heed_dtype dtype_of(DType dtype) {
  switch (dtype) {
    case DType::f64:
      return HEED_F64;
    case DType::i32:
      return HEED_I32;
    case DType::i64:
      return HEED_I64;
    default:
      return HEED_F32;
  }
}

Tensor tensor_of(const heed_tensor& given) {
  check_given(given.name, "an input's name");
  if (given.rank < 0 || given.rank > HEED_MAX_RANK) {
    heed::fail_request("input '{}': a rank of {}", given.name, given.rank);
  }
  heed::Shape shape;
  for (int32_t i = 0; i < given.rank; ++i) {
    if (given.shape[i] < 0) {
      heed::fail_request("input '{}': an extent of {}", given.name, given.shape[i]);
    }
    shape.push_back(given.shape[i]);
  }
  const Tensor tensor = Tensor::empty(shape, dtype_of(given.dtype));
  if (tensor.numel() == 0) return tensor;
  check_given(given.data, "an input's data");
  std::memcpy(tensor.raw(), given.data, static_cast<size_t>(tensor.bytes()));
  return tensor;
}

/// The inputs by name; a RequestError for one that the model does not take, or one that it lacks.
heed::nn::Inputs inputs_of(const heed_model& model, const heed_tensor* given, size_t count) {
  std::map<std::string, bool> wanted;  // whether it must be there
  for (const std::string& name : model.entry->inputs)
    wanted[name.substr(0, name.find('?'))] = !name.ends_with('?');
  heed::nn::Inputs inputs;
  for (size_t i = 0; i < count; ++i) {
    Tensor tensor = tensor_of(given[i]);
    if (!wanted.contains(given[i].name)) {
      heed::fail_request("the model '{}' takes no input '{}'", model.entry->name, given[i].name);
    }
    if (!inputs.emplace(given[i].name, std::move(tensor)).second) {
      heed::fail_request("the input '{}' is given twice", given[i].name);
    }
  }
  for (const auto& [name, needed] : wanted) {
    if (needed && !inputs.contains(name)) {
      heed::fail_request("the model '{}' wants an input '{}'", model.entry->name, name);
    }
  }
  return inputs;
}

char* copied(const std::string& text) {
  char* copy = static_cast<char*>(std::malloc(text.size() + 1));
  if (copy == nullptr) throw std::bad_alloc();
  std::memcpy(copy, text.c_str(), text.size() + 1);
  return copy;
}

const heed::data::Tokenizer& tokenizer_of(const heed_model* model) {
  check_given(model, "the model");
  if (!model->tokenizer) {
    heed::fail_request("the model '{}' came without a tokenizer", model->entry->name);
  }
  return *model->tokenizer;
}

}  // namespace

extern "C" {

const char* heed_version(void) { return HEED_VERSION; }

const char* heed_last_error(void) { return last_error.c_str(); }

heed_model* heed_load(const char* path) {
  heed_model* loaded = nullptr;
  guarded([&] {
    check_given(path, "the path");
    auto model = std::make_unique<heed_model>();
    model->run = heed::recipes::load_run(path, heed::recipes::TaskUse::generate);
    const heed::Config config = model->run.task->export_config();
    model->entry = &heed::nn::find_module(config.at("type").as_string(), "model");
    model->config = config.to_json();
    for (const std::string& name : model->entry->inputs) {
      model->inputs += (model->inputs.empty() ? "" : "\n") + name;
    }
    const std::string& assets = model->run.checkpoint.path;
    if (heed::recipes::has_tokenizer(assets)) {
      model->tokenizer = heed::data::load_tokenizer(heed::recipes::tokenizer_file(assets));
    }
    loaded = model.release();
  });
  return loaded;
}

void heed_free(heed_model* model) { delete model; }

const char* heed_config(const heed_model* model) {
  return model == nullptr ? nullptr : model->config.c_str();
}

const char* heed_inputs(const heed_model* model) {
  return model == nullptr ? nullptr : model->inputs.c_str();
}

heed_result* heed_run(heed_model* model, const heed_tensor* inputs, size_t count) {
  heed_result* made = nullptr;
  guarded([&] {
    check_given(model, "the model");
    if (count > 0) check_given(inputs, "the inputs");
    const heed::NoGrad no_grad;
    auto result = std::make_unique<heed_result>();
    const heed::nn::Inputs named = inputs_of(*model, inputs, count);
    for (const Tensor& output : model->entry->forward(model->run.task->module(), named)) {
      const bool half = output.dtype() == DType::bf16 || output.dtype() == DType::f16;
      const bool known =
          half || output.dtype() == DType::f32 || dtype_of(output.dtype()) != HEED_F32;
      if (!known) heed::fail("an output of dtype {}", heed::name_of(output.dtype()));
      const Tensor plain = half ? heed::kernels::cast(output, DType::f32) : output;
      result->tensors.push_back(heed::kernels::contiguous(plain));
    }
    made = result.release();
  });
  return made;
}

size_t heed_result_count(const heed_result* result) {
  return result == nullptr ? 0 : result->tensors.size();
}

heed_tensor heed_result_tensor(const heed_result* result, size_t index) {
  heed_tensor tensor{};
  if (index >= heed_result_count(result)) return tensor;
  const Tensor& output = result->tensors[index];
  tensor.dtype = dtype_of(output.dtype());
  tensor.rank = static_cast<int32_t>(output.rank());
  for (int i = 0; i < output.rank() && i < HEED_MAX_RANK; ++i) tensor.shape[i] = output.size(i);
  tensor.data = output.raw();
  return tensor;
}

void heed_result_free(heed_result* result) { delete result; }

int64_t heed_encode(heed_model* model, const char* text, int64_t* ids, size_t capacity) {
  int64_t count = -1;
  guarded([&] {
    const heed::data::Tokenizer& tokenizer = tokenizer_of(model);
    check_given(text, "the text");
    if (capacity > 0) check_given(ids, "the memory for ids");
    const std::vector<heed::data::TokenId> found = tokenizer.encode(text);
    for (size_t i = 0; i < found.size() && i < capacity; ++i) ids[i] = found[i];
    count = static_cast<int64_t>(found.size());
  });
  return count;
}

heed_status heed_decode(heed_model* model, const int64_t* ids, size_t count, char** text) {
  return guarded([&] {
    const heed::data::Tokenizer& tokenizer = tokenizer_of(model);
    check_given(text, "the place for the text");
    if (count > 0) check_given(ids, "the ids");
    std::vector<heed::data::TokenId> tokens;
    for (size_t i = 0; i < count; ++i) {
      if (ids[i] < 0 || ids[i] >= tokenizer.vocab_size()) {
        heed::fail_request("id {} (the {}th) of a vocabulary of {}", ids[i], i + 1,
                           tokenizer.vocab_size());
      }
      tokens.push_back(static_cast<heed::data::TokenId>(ids[i]));
    }
    *text = copied(tokenizer.decode(tokens));
  });
}

heed_generate_options heed_generate_defaults(const heed_model* model) {
  heed_generate_options options{};
  options.size = sizeof(options);
  heed::recipes::GenerateOptions usual;
  if (model != nullptr) usual = heed::recipes::options_from(model->run.recipe);
  options.max_tokens = usual.max_tokens;
  options.temperature = usual.temperature;
  options.top_k = usual.top_k;
  options.top_p = usual.top_p;
  options.seed = usual.seed;
  return options;
}

heed_status heed_generate(heed_model* model, const char* prompt,
                          const heed_generate_options* options, heed_on_text on_text, void* user,
                          char** text) {
  std::string written;
  const heed_status status = guarded([&] {
    check_given(model, "the model");
    check_given(prompt, "the prompt");
    if (options != nullptr && options->size < sizeof(heed_generate_options)) {
      heed::fail_request(
          "heed_generate_options.size is {}, not {}: start from "
          "heed_generate_defaults()",
          options->size, sizeof(heed_generate_options));
    }
    heed::recipes::GenerateOptions how = heed::recipes::options_from(model->run.recipe);
    if (options != nullptr) {
      how.max_tokens = options->max_tokens;
      how.temperature = options->temperature;
      how.greedy = options->temperature == 0.0;
      how.top_k = options->top_k;
      how.top_p = options->top_p;
      how.seed = options->seed;
    }
    // By way of the declaration, so that limits are those of recipes.
    how = heed::read_options<heed::recipes::GenerateOptions>(heed::write_options(how), "generate");
    const heed::recipes::Generated generated =
        model->run.task->generate(prompt, how, [&](const std::string& piece) {
          written += piece;
          if (on_text != nullptr && on_text(piece.c_str(), user) != 0) throw Stopped{};
        });
    written = generated.text;
  });
  if (text != nullptr) {
    *text = nullptr;
    if (status == HEED_OK || status == HEED_STOPPED) {
      const heed_status copying = guarded([&] { *text = copied(written); });
      if (copying != HEED_OK) return copying;
    }
  }
  return status;
}

void heed_free_text(char* text) { std::free(text); }

}  // extern "C"
