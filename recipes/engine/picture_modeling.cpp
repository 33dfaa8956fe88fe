#include "recipes/engine/picture_modeling.h"

#include <algorithm>
#include <filesystem>

#include "core/files.h"
#include "data/example_order.h"
#include "data/registry.h"
#include "data/text_pairs.h"
#include "data/text_source.h"
#include "optim/optimizer.h"
#include "recipes/engine/checkpoint.h"
#include "recipes/engine/hf/files.h"
#include "recipes/engine/image_prompt.h"
#include "recipes/engine/measures/answers.h"
#include "recipes/engine/task_data.h"
#include "recipes/engine/text_generator.h"

namespace heed::recipes {
namespace {

namespace fs = std::filesystem;

constexpr const char* kProcessor = "preprocessor_config.json";

// The recipe's `data.processor`: a file, or a run or checkpoint that has kept one.
Config read_processor(const std::string& given) {
  if (given.empty()) return {};
  const std::string path = data::expand_path(given);
  if (!fs::is_directory(path)) return read_json_file(path);
  const Config config = kept_image_config(find_checkpoint(path).path);
  if (config.is_null()) fail_request("{}: this run has kept no {}", given, kProcessor);
  return config;
}

void append(PictureRow& row, const std::vector<data::TokenId>& ids, bool learnt) {
  row.ids.insert(row.ids.end(), ids.begin(), ids.end());
  row.learnt.resize(row.ids.size(), learnt);
}

}  // namespace

PictureRow picture_row(const std::vector<data::Turn>& turns, const std::string& format,
                       const data::Tokenizer& tokenizer, const nn::ImageReader& reader,
                       data::TokenId end) {
  PictureRow row;
  for (const data::Turn& turn : turns) {
    const std::string asked = data::in_format(format, turn.user);
    append(row, row.ids.empty() ? prompt_ids(tokenizer, asked, reader) : tokenizer.encode(asked),
           false);
    append(row, tokenizer.encode(turn.answer), true);
    append(row, {end}, true);
  }
  return row;
}

// The examples as the model reads them. Batches are made from background threads.
struct PictureModeling::Rows {
  std::shared_ptr<const data::ImageTexts> data;
  data::ImageProcessor processor;
  std::vector<PictureRow> rows[3];
  std::vector<int64_t> numbers[3];  // of the data's examples
  int64_t left_out = 0, longest = 0, tokens = 0;

  Rows(std::shared_ptr<const data::ImageTexts> source, data::ImageProcessor how)
      : data(std::move(source)), processor(std::move(how)) {}

  int64_t size(data::Part part) const { return std::ssize(rows[static_cast<size_t>(part)]); }
  void add(data::Part part, int64_t number, PictureRow row);
  data::Batch texts(data::Part part, const std::vector<int64_t>& examples) const;
  Tensor images(data::Part part, const std::vector<int64_t>& examples) const;
};

void PictureModeling::Rows::add(data::Part part, int64_t number, PictureRow row) {
  const auto length = std::ssize(row.ids) - 1;
  longest = std::max(longest, length);
  if (part == data::Part::train) tokens += length;
  rows[static_cast<size_t>(part)].push_back(std::move(row));
  numbers[static_cast<size_t>(part)].push_back(number);
}

// Padding is the first example again, of which nothing is learnt.
data::Batch PictureModeling::Rows::texts(data::Part part,
                                         const std::vector<int64_t>& examples) const {
  const auto& own = rows[static_cast<size_t>(part)];
  const auto row_of = [&](int64_t example) -> const PictureRow& {
    return own[static_cast<size_t>(std::max<int64_t>(example, 0))];
  };
  int64_t width = 1;
  for (const int64_t example : examples) {
    width = std::max(width, std::ssize(row_of(example).ids) - 1);
  }
  const int64_t count = std::ssize(examples);
  data::Batch batch;
  batch.inputs = Tensor::zeros({count, width}, DType::i64);
  batch.targets =
      Tensor::full({count, width}, static_cast<double>(data::kIgnoreTarget), DType::i64);
  for (int64_t n = 0; n < count; ++n) {
    const int64_t example = examples[static_cast<size_t>(n)];
    const PictureRow& row = row_of(example);
    std::copy(row.ids.begin(), row.ids.end() - 1, batch.inputs.data<int64_t>() + n * width);
    if (example < 0) continue;
    int64_t* targets = batch.targets.data<int64_t>() + n * width;
    for (size_t i = 1; i < row.ids.size(); ++i) {
      if (!row.learnt[i]) continue;
      targets[i - 1] = row.ids[i];
      ++batch.count;
    }
  }
  return batch;
}

Tensor PictureModeling::Rows::images(data::Part part, const std::vector<int64_t>& examples) const {
  const Shape& shape = processor.shape();
  Tensor all = Tensor::zeros({std::ssize(examples), shape[0], shape[1], shape[2]});
  for (size_t n = 0; n < examples.size() && !data->common().blind; ++n) {
    if (examples[n] < 0) continue;
    const int64_t number = numbers[static_cast<size_t>(part)][static_cast<size_t>(examples[n])];
    const Tensor image =
        processor.process(data->picture(part, number), fmt::format("picture {}", number + 1));
    std::copy_n(image.data<float>(), image.numel(),
                all.data<float>() + static_cast<int64_t>(n) * image.numel());
  }
  return all;
}

PictureModeling::PictureModeling(const Recipe& recipe, TaskUse use, const std::string& assets,
                                 const std::string& part, const std::vector<std::string>& frozen)
    : IndexedTask(recipe) {
  open(use, assets, part);
  make_model();
  freeze(frozen);
  if (!data_) return;
  const data::ImageProcessor processor(processor_.is_null() ? Config::map() : processor_,
                                       reader_->image_shape());
  auto rows = std::make_shared<Rows>(data_, processor);
  const int64_t most = model_->context();
  for (const auto of : {data::Part::train, data::Part::validation, data::Part::test}) {
    for (int64_t i = 0; i < data_->size(of); ++i) {
      PictureRow row =
          picture_row(data_->turns(of, i), data_->common().format, tokenizer(), *reader_, end());
      if (std::ssize(row.ids) - 1 > most) {
        ++rows->left_out;
      } else {
        rows->add(of, i, std::move(row));
      }
    }
  }
  rows_ = rows;
  if (rows->size(data::Part::train) == 0) {
    fail_request(recipe.model.where(),
                 fmt::format("model: no example fits into a context of {} tokens, {} of which are "
                             "a picture's",
                             most, reader_->image_tokens()));
  }
  if (use != TaskUse::train) return;
  const data::LabelledBatchOptions order{.batch = rows_per_step(), .seed = seed(), .slice = {}};
  start_batches([rows, order](int64_t step, const data::RowSlice& slice) -> Batch {
    data::LabelledBatchOptions own = order;
    own.slice = slice;
    const auto examples = data::training_examples(step, rows->size(data::Part::train), own);
    const data::Batch texts = rows->texts(data::Part::train, examples);
    return {{{"inputs", texts.inputs},
             {"targets", texts.targets},
             {"images", rows->images(data::Part::train, examples)}},
            texts.count};
  });
}

void PictureModeling::open(TaskUse use, const std::string& assets, const std::string& part) {
  processor_ = assets.empty() ? Config() : kept_image_config(assets);
  if (use == TaskUse::generate && has_tokenizer(assets)) {
    own_tokenizer_ = data::load_tokenizer(tokenizer_file(assets));
    return;
  }
  const Config& type = recipe_.data.at("type");
  data_ = data::find_dataset(type.as_string(), type.where())
              .open_image_texts(with_saved_tokenizer(recipe_.data, assets));
  if (processor_.is_null()) processor_ = read_processor(data_->common().processor);
  part_ = chosen_part(recipe_, part, data_->size(data::Part::validation),
                      data_->size(data::Part::test), data_summary());
}

void PictureModeling::make_model() {
  Config config = recipe_.model;
  const int64_t known = known_ids(tokenizer(), end());
  const Config* vocab = config.is_map() ? config.find("vocab") : nullptr;
  const Config* text = config.is_map() ? config.find("text") : nullptr;
  const Config* of_text = text != nullptr && text->is_map() ? text->find("vocab") : nullptr;
  const auto unset = [](const Config* value) { return value == nullptr || *value == Config(0); };
  const Config* type = config.is_map() ? config.find("type") : nullptr;
  const bool takes_pictures = type != nullptr && *type == Config("llava");
  if (takes_pictures && unset(vocab) && unset(of_text)) {  // one id more: the picture's
    config.set("vocab", known + 1);
    if (config.find("image_token") == nullptr) config.set("image_token", known);
  }
  model_ = nn::make_language_model(config, known);
  reader_ = dynamic_cast<nn::ImageReader*>(model_.get());
  if (reader_ == nullptr) {
    fail_request(type == nullptr ? recipe_.model.where() : type->where(),
                 fmt::format("task language_modeling: the model '{}' reads no pictures; llava does",
                             type == nullptr ? "gpt" : type->as_string()));
  }
}

void PictureModeling::freeze(const std::vector<std::string>& frozen) {
  const auto modules = model_->named_modules();
  for (const std::string& pattern : frozen) {
    bool any = false;
    for (const auto& [path, module] : modules) {
      if (!optim::glob_match(pattern, path)) continue;
      module->freeze();
      any = true;
    }
    if (!any) fail_request("task.freeze: '{}' matches no module of the model", pattern);
  }
}

data::TokenId PictureModeling::end() const {
  return static_cast<data::TokenId>(data::end_id(tokenizer()));
}

std::string PictureModeling::data_summary() {
  if (!data_) return "";
  std::string text =
      fmt::format("{} pictures for training, {} for validation, {} for testing; tokenizer {} of {}",
                  data_->size(data::Part::train), data_->size(data::Part::validation),
                  data_->size(data::Part::test), tokenizer().type(), tokenizer().vocab_size());
  if (data_->common().blind) text += "; hidden";
  if (!rows_) return text;
  text += fmt::format("; up to {} tokens", rows_->longest);
  if (rows_->left_out > 0) {
    text += fmt::format(", {} examples of more than the context's {} left out", rows_->left_out,
                        model_->context());
  }
  return text;
}

Tensor PictureModeling::loss(const Batch& batch) {
  return reader_->loss_with(batch["inputs"], batch["targets"], batch["images"]);
}

Metrics PictureModeling::evaluate(const EvaluationOptions& options, Communicator& communicator,
                                  const Progress& progress) {
  const NoGrad no_grad;
  const data::LabelledBatchOptions of_rank{.batch = evaluation_rows(options),
                                           .seed = seed(),
                                           .slice = {communicator.rank(), communicator.size()}};
  const int64_t count = rows_->size(part_);
  int64_t batches = data::evaluation_batches(count, of_rank.batch);
  if (options.max_batches > 0) batches = std::min(batches, options.max_batches);
  Answers answers;
  for (int64_t i = 0; i < batches; ++i) {
    const std::vector<int64_t> examples = data::evaluation_examples(i, count, of_rank);
    const auto rows = std::count_if(examples.begin(), examples.end(),
                                    [](int64_t example) { return example >= 0; });
    if (rows > 0) {
      const data::Batch texts = rows_->texts(part_, examples);
      answers.add(reader_->forward_with(texts.inputs, rows_->images(part_, examples)),
                  texts.targets, rows);
    }
    if (progress) progress(i + 1, batches);
  }
  return answers.metrics(communicator);
}

std::string PictureModeling::asked(const std::string& prompt) const {
  const Config* format = recipe_.data.find("format");
  return format == nullptr ? prompt : data::in_format(format->as_string(), prompt);
}

Generated PictureModeling::generate(const std::string& prompt, const GenerateOptions& options,
                                    const TokenCallback& on_token) {
  std::vector<data::TokenId> ids = tokenizer().start();
  for (const data::TokenId id : tokenizer().encode(asked(prompt))) ids.push_back(id);
  if (ids.empty()) ids.push_back(end());
  return generate_text(*model_, tokenizer(), ids, end(), options, on_token);
}

Generated PictureModeling::generate_about(const std::string& image, const std::string&,
                                          const std::string& prompt, const GenerateOptions& options,
                                          const TokenCallback& on_token) {
  const data::ImageProcessor processor(processor_.is_null() ? Config::map() : processor_,
                                       reader_->image_shape());
  return generate_text(*model_, tokenizer(), asked(prompt), read_picture(image, processor), end(),
                       options, on_token);
}

std::vector<std::string> PictureModeling::save_assets(const std::string& folder) {
  std::vector<std::string> files = {tokenizer_file(folder)};
  tokenizer().save(files.front());
  if (processor_.is_null()) return files;
  files.push_back((fs::path(folder) / (std::string(hf::kKept) + kProcessor)).string());
  write_file_atomically(files.back(), processor_.to_json(2) + "\n");
  return files;
}

double PictureModeling::flops_per_row() {
  const auto count = static_cast<double>(rows_->size(data::Part::train));
  const double tokens = static_cast<double>(rows_->tokens) / count;
  return model_->flops_per_token(static_cast<int64_t>(tokens)) * tokens + reader_->image_flops();
}

}  // namespace heed::recipes
