// heed embed: vectors of texts, by a trained encoder.
#include "recipes/engine/embed.h"

#include <fmt/format.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <memory>

#include "core/files.h"
#include "core/json_lines.h"
#include "core/npy.h"
#include "core/readable.h"
#include "core/safetensors.h"
#include "data/line_reader.h"
#include "tools/command.h"
#include "tools/metrics.h"
#include "tools/progress.h"
#include "tools/text.h"

namespace heed::tools {
namespace {

struct EmbedArguments {
  std::string run, file, field, out;
  std::vector<std::string> texts;
  recipes::EmbedOptions options;
  std::string prompt;
  bool has_prompt = false, normalise = false, similarity = false, json = false;
};

struct CloseFile {
  void operator()(std::FILE* file) const {
    if (file != stdin) std::fclose(file);
  }
};

// Every line is a text, or, with a field, an object that has it there.
std::vector<std::string> read_lines(const std::string& path, const std::string& field) {
  constexpr size_t kMostBytes = size_t{1} << 28;
  const std::string name = path == "-" ? "standard input" : path;
  const std::unique_ptr<std::FILE, CloseFile> file(path == "-" ? stdin
                                                               : std::fopen(path.c_str(), "rb"));
  if (!file) fail_request("{}: cannot be opened: {}", path, std::strerror(errno));
  data::LineReader lines([&](char* to, size_t most) { return std::fread(to, 1, most, file.get()); },
                         name);
  std::vector<std::string> texts;
  std::string line;
  for (int number = 1; lines.next(line, kMostBytes); ++number) {
    if (field.empty()) {
      texts.push_back(line);
    } else if (line.find_first_not_of(" \t") != std::string::npos) {
      texts.push_back(parse_json_line(line, name, number).at(field).as_string());
    }
  }
  if (std::ferror(file.get()) != 0) fail_request("{}: cannot be read", name);
  return texts;
}

std::vector<std::string> texts_of(const EmbedArguments& arguments) {
  if (!arguments.texts.empty()) {
    if (!arguments.file.empty()) fail_request("embed: give a FILE or --text, not both");
    return arguments.texts;
  }
  if (arguments.file.empty()) {
    fail_request("embed: there is nothing to read; give a FILE, - for standard input, or --text");
  }
  const bool json_lines = arguments.file.ends_with(".jsonl");
  const std::string field = arguments.field.empty() && json_lines ? "text" : arguments.field;
  std::vector<std::string> texts = read_lines(arguments.file, field);
  if (texts.empty()) fail_request("{}: holds no texts", arguments.file);
  return texts;
}

std::string json_line(const std::string& text, std::span<const float> vector) {
  return fmt::format("{{\"text\":{},\"embedding\":[{}]}}\n", Config(text).to_json(),
                     fmt::join(vector, ","));
}

// The rows of [N, C].
std::vector<std::span<const float>> rows_of(const Tensor& vectors) {
  const auto width = static_cast<size_t>(vectors.size(1));
  std::vector<std::span<const float>> rows;
  for (int64_t i = 0; i < vectors.size(0); ++i) {
    rows.emplace_back(vectors.data<float>() + static_cast<size_t>(i) * width, width);
  }
  return rows;
}

std::string json_lines(const std::vector<std::string>& texts, const Tensor& vectors) {
  std::string lines;
  const auto rows = rows_of(vectors);
  for (size_t i = 0; i < texts.size(); ++i) lines += json_line(texts[i], rows[i]);
  return lines;
}

void check_ending(const std::string& out) {
  for (const char* ending : {".npy", ".safetensors", ".jsonl"}) {
    if (out.empty() || out.ends_with(ending)) return;
  }
  fail_request("{}: vectors are written as .npy, .safetensors or .jsonl", out);
}

void write_vectors(const std::string& out, const std::vector<std::string>& texts,
                   const Tensor& vectors) {
  if (out.ends_with(".npy")) return write_npy(out, vectors);
  if (out.ends_with(".safetensors")) return write_safetensors(out, {{"embeddings", vectors}});
  write_file_atomically(out, json_lines(texts, vectors));
}

Config rows_config(const Tensor& matrix) {
  const std::vector<double> values = matrix.to_vector<double>();
  Config rows = Config::list();
  for (int64_t i = 0; i < matrix.size(0); ++i) {
    const auto first = values.begin() + i * matrix.size(1);
    rows.append(Config::List(first, first + matrix.size(1)));
  }
  return rows;
}

// The text's first characters, the last of which says that there are more.
std::string shortened(const std::string& text, int most) {
  if (display_width(text) <= most) return text;
  std::string kept;
  int shown = 0;
  for (const char c : text) {
    const bool begins = (static_cast<unsigned char>(c) & 0xC0) != 0x80;
    if (begins && ++shown == most) break;
    kept += c;
  }
  return kept + "\u2026";
}

void print_similarity(const std::vector<std::string>& texts, const Tensor& vectors) {
  constexpr int kShown = 40;
  const std::vector<double> cosine = recipes::cosines(vectors).to_vector<double>();
  std::vector<std::string> header = {""};
  std::vector<int> right;
  for (size_t i = 0; i < texts.size(); ++i) {
    header.push_back(std::to_string(i + 1));
    right.push_back(static_cast<int>(i) + 1);
  }
  Table table(header, right);
  for (size_t i = 0; i < texts.size(); ++i) {
    const std::string text = shortened(texts[i], kShown);
    std::vector<std::string> row = {fmt::format("{}  {}", i + 1, text)};
    for (size_t j = 0; j < texts.size(); ++j) {
      row.push_back(fmt::format("{:.3f}", cosine[i * texts.size() + j]));
    }
    table.row(row);
  }
  fmt::print("{}", table.to_string(0));
}

void check_table(const EmbedArguments& arguments, size_t texts) {
  constexpr size_t kMost = 16;
  if (arguments.similarity && !arguments.json && texts > kMost) {
    fail_request("embed: a table of {} texts is more than {} wide; --json has all", texts, kMost);
  }
}

void print_document(const EmbedArguments& arguments, const recipes::TextEmbedder& embedder,
                    const std::vector<std::string>& texts, const recipes::Embeddings& made,
                    double seconds) {
  Config document = Config::map();
  document.set("checkpoint", embedder.checkpoint());
  document.set("texts", std::ssize(texts));
  document.set("dim", embedder.dim());
  document.set("tokens", made.tokens);
  document.set("max_tokens", embedder.max_tokens());
  document.set("truncated", made.truncated);
  document.set("seconds", seconds);
  if (arguments.similarity) document.set("similarity", rows_config(recipes::cosines(made.vectors)));
  if (!arguments.out.empty()) {
    document.set("file", arguments.out);
  } else if (!arguments.similarity) {
    document.set("embeddings", rows_config(made.vectors));
  }
  print_json(document);
}

void embed(EmbedArguments arguments) {
  check_ending(arguments.out);
  if (arguments.has_prompt) arguments.options.prompt = arguments.prompt;
  if (arguments.normalise) arguments.options.normalise = true;
  recipes::TextEmbedder embedder(arguments.run, arguments.options, print_warning);
  const std::vector<std::string> texts = texts_of(arguments);
  check_table(arguments, texts.size());
  const auto start = std::chrono::steady_clock::now();
  Progress progress(stderr);
  const recipes::Embeddings made = embedder.embed(texts, [&](int64_t done, int64_t total) {
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    const double rate = static_cast<double>(done) / seconds;
    if (progress.on_terminal()) {
      progress.update("embed", done, total, compact(rate) + " texts/s");
    }
  });
  progress.clear();
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (made.truncated > 0) {
    print_warning(fmt::format("{} of {} texts have more than {} tokens and lost their end",
                              made.truncated, texts.size(), embedder.max_tokens()));
  }
  if (!arguments.out.empty()) write_vectors(arguments.out, texts, made.vectors);
  if (arguments.json) return print_document(arguments, embedder, texts, made, seconds);
  if (arguments.similarity) print_similarity(texts, made.vectors);
  if (arguments.out.empty() && !arguments.similarity) {
    fmt::print("{}", json_lines(texts, made.vectors));
  }
  std::fflush(stdout);
  fmt::print(stderr, "({} texts, {} tokens in {}, {} numbers each)\n", grouped(std::ssize(texts)),
             grouped(made.tokens), duration_text(seconds), embedder.dim());
}

}  // namespace

void add_embed(CLI::App& heed) {
  auto arguments = std::make_shared<EmbedArguments>();
  CLI::App* command = add_command(heed, "embed", "turns texts into vectors with a trained encoder",
                                  "train and use");
  details(command,
          "Every line of FILE is a text (of a .jsonl file, or with --field, that member of the "
          "line's object). The model's tokenizer and encoder read it, and its states become one "
          "vector as the model says: the folder of a sentence-transformers model that it was "
          "imported from, or `pool`, `pooler` and `normalise` of the recipe's model. A text of "
          "more tokens than that folder, or the model's context, allows loses its end. Without "
          "--out, a line of JSON for each text goes to standard output, in their order.");
  positional(command, "RUN", arguments->run,
             "a run's folder (its latest good checkpoint) or a checkpoint's folder")
      ->required();
  positional(command, "FILE", arguments->file, "texts, a line each; - reads standard input");
  command->add_option("--text", arguments->texts, "a text; may be given again")
      ->type_name("TEXT")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  option(command, "--field", "NAME", arguments->field,
         "FILE is JSON lines, and texts are this member (of .jsonl files: text)", false);
  option(command, "--out", "FILE", arguments->out,
         "write the vectors: .npy [texts, dim], .safetensors (`embeddings`) or .jsonl", false);
  command->add_flag("--similarity", arguments->similarity,
                    "print the cosines of all pairs of texts");
  option(command, "--pool", "NAME", arguments->options.pool,
         "cls, mean or max of the states, instead of the model's pooling", false)
      ->check(CLI::IsMember({"cls", "mean", "max"}));
  command->add_flag("--normalise", arguments->normalise, "scale vectors to length 1");
  command
      ->add_option_function<std::string>(
          "--prompt",
          [arguments](const std::string& text) {
            arguments->prompt = text;
            arguments->has_prompt = true;
          },
          "put this before every text, instead of the model's default prompt")
      ->type_name("TEXT");
  option(command, "--prompt-name", "NAME", arguments->options.prompt_name,
         "put the model's prompt of this name before every text (query)", false);
  option(command, "--max-tokens", "N", arguments->options.max_tokens,
         "tokens of a text, special ones included; 0: as the model says")
      ->check(CLI::NonNegativeNumber);
  option(command, "--batch-size", "N", arguments->options.batch_size, "texts read at once")
      ->check(CLI::PositiveNumber);
  command->add_flag("--json", arguments->json, "print one JSON document");
  examples(command,
           {{"heed embed runs/minilm texts.txt --out vectors.npy", ""},
            {"heed embed runs/minilm --text 'a cat' --text 'a dog' --similarity", ""},
            {"heed embed runs/e5 questions.jsonl --field question --prompt 'query: '", ""}});
  command->callback([arguments] { embed(*arguments); });
}

}  // namespace heed::tools
