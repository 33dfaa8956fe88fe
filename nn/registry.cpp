#include "nn/registry.h"

#include <algorithm>
#include <tuple>

#include "nn/attention/cross_attention.h"
#include "nn/attention/registry.h"
#include "nn/entry.h"
#include "nn/layers/alibi.h"
#include "nn/layers/batch_norm.h"
#include "nn/layers/codebook.h"
#include "nn/layers/conv.h"
#include "nn/layers/conv_mlp.h"
#include "nn/layers/conv_tokenizer.h"
#include "nn/layers/drop_path.h"
#include "nn/layers/dropout.h"
#include "nn/layers/embedding.h"
#include "nn/layers/group_norm.h"
#include "nn/layers/label_embedding.h"
#include "nn/layers/layer_norm.h"
#include "nn/layers/layer_scale.h"
#include "nn/layers/learned_position.h"
#include "nn/layers/linear.h"
#include "nn/layers/lora.h"
#include "nn/layers/mlp.h"
#include "nn/layers/patch_embed.h"
#include "nn/layers/patch_merging.h"
#include "nn/layers/pool.h"
#include "nn/layers/recurrent.h"
#include "nn/layers/relative_position.h"
#include "nn/layers/rms_norm.h"
#include "nn/layers/rotary.h"
#include "nn/layers/sequence_pool.h"
#include "nn/layers/sinusoidal_position.h"
#include "nn/layers/squeeze_excite.h"
#include "nn/layers/swiglu.h"
#include "nn/layers/time_embedding.h"
#include "nn/layers/upsampler.h"
#include "nn/losses/registry.h"
#include "nn/models/compact_text.h"
#include "nn/models/dense_pyramid.h"
#include "nn/models/dit.h"
#include "nn/models/edsr.h"
#include "nn/models/encoder.h"
#include "nn/models/encoder_decoder.h"
#include "nn/models/gpt.h"
#include "nn/models/gru_classifier.h"
#include "nn/models/linear_probe.h"
#include "nn/models/llava.h"
#include "nn/models/mobilenet.h"
#include "nn/models/multi_query_recommender.h"
#include "nn/models/pyramid.h"
#include "nn/models/recurrent_recommender.h"
#include "nn/models/resnet.h"
#include "nn/models/routing_transformer.h"
#include "nn/models/sequential_recommender.h"
#include "nn/models/unet.h"
#include "nn/models/vit.h"
#include "nn/pooling/registry.h"

namespace heed::nn {
namespace {

template <class M, class O>
ModuleEntry layer(const Description& d) {
  return entry<M, O>("layer", d);
}

ModuleEntry attention(const AttentionEntry& mechanism) {
  ModuleEntry e = slot_module<AttentionMechanism, AttentionHost>("attention", mechanism, {"x"});
  e.forward = [](Module& module, const Inputs& inputs) {
    return std::vector<Tensor>{static_cast<AttentionMechanism&>(module).forward(inputs.at("x"))};
  };
  return e;
}

ModuleEntry pooling(const PoolingEntry& given) {
  ModuleEntry e = slot_module("pooling", given, {"x", "lengths?"});
  e.forward = [](Module& module, const Inputs& inputs) {
    return std::vector<Tensor>{
        static_cast<Pooling&>(module).forward(inputs.at("x"), input(inputs, "lengths"))};
  };
  return e;
}

// A model whose options come by way of a preset.
template <class M, class O>
ModuleEntry model(const Description& d, O (*read)(const Config&)) {
  ModuleEntry e{d.name, "model", d.summary, d.source, d.inputs};
  e.schema = [] { return describe_options<O>(); };
  e.make = [read](const Config& config) { return std::make_unique<M>(read(config)); };
  e.resolve = [read](const Config& config) { return with_defaults(config, read(config)); };
  return e;
}

// A language model: logits, and the loss as a second output when targets are given.
template <class M, class O>
ModuleEntry language_model(const Description& d, O (*read)(const Config&)) {
  ModuleEntry e = model<M, O>(d, read);
  e.inputs = {"ids", "targets?"};
  e.forward = [](Module& module, const Inputs& inputs) {
    auto& lm = static_cast<LanguageModel&>(module);
    std::vector<Tensor> outputs{lm.forward(inputs.at("ids"))};
    const auto targets = inputs.find("targets");
    if (targets != inputs.end()) outputs.push_back(lm.loss(inputs.at("ids"), targets->second));
    return outputs;
  };
  return e;
}

// A language model that reads images: logits, and the loss when targets are given.
ModuleEntry llava() {
  ModuleEntry e = model<Llava, LlavaOptions>(
      {"llava",
       "decoder that reads images: a tower's states, projected, in the place of tokens",
       "arXiv 2304.08485, 2310.03744",
       {"ids", "images?", "targets?"}},
      read_llava_options);
  e.resolve = resolve_llava;
  e.forward = [](Module& module, const Inputs& inputs) {
    auto& lm = static_cast<Llava&>(module);
    const Tensor &ids = inputs.at("ids"), images = input(inputs, "images");
    std::vector<Tensor> outputs{lm.forward_with(ids, images)};
    const Tensor targets = input(inputs, "targets");
    if (targets.defined()) outputs.push_back(lm.loss_with(ids, targets, images));
    return outputs;
  };
  return e;
}

// Images to logits.
template <class M, class O>
ModuleEntry image_classifier(const Description& d, O (*read)(const Config&)) {
  ModuleEntry e = model<M, O>(d, read);
  e.forward = [](Module& module, const Inputs& inputs) {
    return std::vector<Tensor>{static_cast<Classifier&>(module).forward(inputs.at("x"))};
  };
  return e;
}

// Token ids, with the lengths of their rows, to logits.
template <class M, class O>
ModuleEntry text_classifier(Description d, O (*read)(const Config&)) {
  d.inputs = {"ids", "lengths?"};
  ModuleEntry e = model<M, O>(d, read);
  e.forward = [](Module& module, const Inputs& inputs) {
    return std::vector<Tensor>{
        static_cast<Classifier&>(module).forward(inputs.at("ids"), input(inputs, "lengths"))};
  };
  return e;
}

// Another model's features to logits.
ModuleEntry features_classifier() {
  ModuleEntry e = entry<LinearProbe, LinearProbeOptions>(
      "model", {"linear_probe",
                "one linear layer on another model's features, pooled and normalised",
                "arXiv 2111.06377, appendix A.1",
                {"features"}});
  e.forward = [](Module& module, const Inputs& inputs) {
    return std::vector<Tensor>{static_cast<LinearProbe&>(module).forward(inputs.at("features"))};
  };
  return e;
}

// Images to images, at a time and of a class where the model takes them.
template <class M, class O>
ModuleEntry image_model(Description d, O (*read)(const Config&)) {
  d.inputs = {"x", "times?", "labels?"};
  ModuleEntry e = model<M, O>(d, read);
  e.forward = [](Module& module, const Inputs& inputs) {
    return std::vector<Tensor>{static_cast<ImageModel&>(module).forward(
        inputs.at("x"), input(inputs, "times"), input(inputs, "labels"))};
  };
  return e;
}

UnetOptions read_unet_options(const Config& config) {
  return read_options<UnetOptions>(config, "model unet");
}

// Scores of all items after each row, then the losses that targets and negatives allow.
template <class M, class O>
ModuleEntry recommender(Description d) {
  d.inputs = {"items", "targets?", "negatives?"};
  ModuleEntry e = entry<M, O>("model", d);
  e.forward = [](Module& module, const Inputs& inputs) {
    auto& model = static_cast<Recommender&>(module);
    const Tensor items = inputs.at("items"), targets = input(inputs, "targets");
    const Tensor negatives = input(inputs, "negatives");
    std::vector<Tensor> outputs{model.forward(items)};
    if (targets.defined()) outputs.push_back(model.loss(items, targets));
    if (negatives.defined()) outputs.push_back(model.sampled_loss(items, targets, negatives));
    return outputs;
  };
  return e;
}

// Hidden states, then what each head makes of them: the pooled vector, logits of classes and of
// masked tokens.
ModuleEntry encoder() {
  ModuleEntry e =
      model<Encoder, EncoderOptions>({"encoder",
                                      "bidirectional text encoder, BERT and MiniLM styles",
                                      "arXiv 1810.04805; arXiv 2002.10957",
                                      {"ids", "lengths?", "token_types?"}},
                                     read_encoder_options);
  e.forward = [](Module& module, const Inputs& inputs) {
    auto& model = static_cast<Encoder&>(module);
    const Tensor lengths = input(inputs, "lengths");
    const Tensor hidden = model.features(inputs.at("ids"), lengths, input(inputs, "token_types"));
    std::vector<Tensor> outputs{hidden};
    if (model.pooler || model.classifier) outputs.push_back(model.pooled(hidden, lengths));
    if (model.classifier) outputs.push_back(model.classify(outputs.back()));
    if (model.mlm_transform) outputs.push_back(model.mlm_logits(hidden));
    return outputs;
  };
  return e;
}

ModuleEntry cross_attention() {
  ModuleEntry e =
      layer<CrossAttention, CrossAttentionOptions>({"cross_attention",
                                                    "attention of one sequence to another",
                                                    "Vaswani et al. 2017, section 3.2.3",
                                                    {"x", "memory", "lengths?"}});
  e.forward = [](Module& module, const Inputs& inputs) {
    auto& cross = static_cast<CrossAttention&>(module);
    return std::vector<Tensor>{
        cross.forward(inputs.at("x"), inputs.at("memory"), input(inputs, "lengths"))};
  };
  return e;
}

// The logits of the targets, read one behind another, and their loss.
ModuleEntry encoder_decoder() {
  ModuleEntry e = model<EncoderDecoder, EncoderDecoderOptions>(
      {"encoder_decoder",
       "sequence to sequence, T5 and transformer styles",
       "Vaswani et al. 2017; arXiv 1910.10683",
       {"ids", "targets", "lengths?"}},
      read_encoder_decoder_options);
  e.forward = [](Module& module, const Inputs& inputs) {
    auto& model = static_cast<EncoderDecoder&>(module);
    const Tensor &ids = inputs.at("ids"), &targets = inputs.at("targets");
    const Tensor lengths = input(inputs, "lengths");
    return std::vector<Tensor>{model.forward(ids, model.decoder_ids(targets), lengths),
                               model.loss(ids, targets, lengths)};
  };
  return e;
}

std::vector<ModuleEntry> all_entries() {
  std::vector<ModuleEntry> entries = {
      layer<Linear, LinearOptions>({"linear", "y = x weight^T + bias", ""}),
      layer<Embedding, EmbeddingOptions>({"embedding", "a learned row for each id", "", {"ids"}}),
      layer<LayerNorm, LayerNormOptions>(
          {"layer_norm", "zero mean, unit variance over features", "arXiv 1607.06450, eq. 4"}),
      layer<RmsNorm, RmsNormOptions>(
          {"rms_norm", "unit root mean square over features", "arXiv 1910.07467, eq. 4"}),
      layer<BatchNorm, BatchNormOptions>({"batch_norm",
                                          "statistics of the batch, or their running averages",
                                          "arXiv 1502.03167, algorithm 1"}),
      layer<GroupNorm, GroupNormOptions>(
          {"group_norm", "statistics of a sample's group of channels", "arXiv 1803.08494, eq. 7"}),
      layer<InstanceNorm, InstanceNormOptions>(
          {"instance_norm", "statistics of a sample's channel", "arXiv 1607.08022, eq. 4"}),
      layer<Dropout, DropoutOptions>(
          {"dropout", "zeroes elements at random in training", "Srivastava et al. 2014"}),
      layer<ChannelDropout, DropoutOptions>(
          {"channel_dropout", "zeroes whole channels at random in training", "arXiv 1411.4280"}),
      layer<Mlp, MlpOptions>(
          {"mlp", "two linear layers around an activation", "Vaswani et al. 2017, eq. 2"}),
      layer<Swiglu, SwigluOptions>(
          {"swiglu", "gated feed-forward layer: SwiGLU, GEGLU", "arXiv 2002.05202, eq. 6"}),
      layer<Conv, ConvLayerOptions>(
          {"conv", "convolution in 1 to 3 dimensions, depthwise by groups", ""}),
      layer<ConvTranspose, ConvTransposeOptions>(
          {"conv_transpose", "adjoint of a convolution, for upsampling", ""}),
      layer<MaxPool, MaxPoolOptions>({"max_pool", "the largest of each window", ""}),
      layer<AvgPool, AvgPoolOptions>({"avg_pool", "the mean of each window", ""}),
      layer<AdaptiveAvgPool, AdaptiveAvgPoolOptions>(
          {"adaptive_avg_pool", "means over a given number of bins; by default the global one",
           ""}),
      layer<PatchEmbed, PatchEmbedOptions>(
          {"patch_embed", "images to a grid of tokens", "arXiv 2010.11929, eq. 1"}),
      layer<ConvTokenizer, ConvTokenizerOptions>(
          {"conv_tokenizer", "images or texts to overlapping tokens: convolutions and max-pools",
           "arXiv 2104.05704"}),
      layer<SequencePool, SequencePoolOptions>({"sequence_pool",
                                                "tokens weighted by a learned softmax, summed",
                                                "arXiv 2104.05704",
                                                {"x", "lengths?"}}),
      layer<PatchMerging, PatchMergingOptions>({"patch_merging",
                                                "four neighbouring tokens become one",
                                                "arXiv 2103.14030, section 3.1"}),
      layer<Upsampler, UpsamplerOptions>({"upsampler",
                                          "convolutions whose channels become a larger image",
                                          "arXiv 1609.05158, section 2.2"}),
      layer<ConvMlp, ConvMlpOptions>({"conv_mlp",
                                      "feed-forward layer with a depthwise convolution inside",
                                      "arXiv 2106.13797; arXiv 2202.09741"}),
      layer<DropPath, DropPathOptions>(
          {"drop_path", "drops a sample's branch in training", "arXiv 1603.09382"}),
      layer<LayerScale, LayerScaleOptions>(
          {"layer_scale", "a learned factor for each channel", "arXiv 2103.17239, eq. 4"}),
      layer<Codebook, CodebookOptions>({"codebook",
                                        "each vector becomes the nearest of learned ones",
                                        "arXiv 1711.00937, eq. 2 and 3, appendix A.1"}),
      layer<SqueezeExcite, SqueezeExciteOptions>(
          {"squeeze_excite", "channels weighted by the whole image", "arXiv 1709.01507"}),
      layer<Lora, LoraOptions>(
          {"lora", "low-rank update of a frozen linear layer", "arXiv 2106.09685, eq. 3"}),
      layer<WindowPosition, WindowPositionOptions>({"window_position",
                                                    "scores + a bias by offset in a 2-D window",
                                                    "arXiv 2103.14030, eq. 4",
                                                    {"scores"}}),
      layer<T5Position, T5PositionOptions>({"t5_position",
                                            "scores + a bias by bucket of distance",
                                            "arXiv 1910.10683, section 2.1",
                                            {"scores"}}),
      layer<Gru, RecurrentOptions>({"gru",
                                    "gated recurrent unit, stacked, in one or both directions",
                                    "arXiv 1406.1078",
                                    {"x", "lengths?"}}),
      layer<Lstm, RecurrentOptions>({"lstm",
                                     "long short-term memory, stacked, in one or both directions",
                                     "Hochreiter & Schmidhuber 1997",
                                     {"x", "lengths?"}}),
      layer<TimeEmbedding, TimeEmbeddingOptions>({"time_embedding",
                                                  "a diffusion model's time as features",
                                                  "arXiv 2006.11239; arXiv 2212.09748",
                                                  {"times"}}),
      layer<LabelEmbedding, LabelEmbeddingOptions>(
          {"label_embedding", "a class, or none, as features", "arXiv 2207.12598", {"labels"}}),
      layer<LearnedPosition, LearnedPositionOptions>(
          {"learned_position", "x + a learned row for each position", "", {"x", "positions?"}}),
      layer<SinusoidalPosition, SinusoidalPositionOptions>({"sinusoidal_position",
                                                            "x + fixed sines and cosines",
                                                            "Vaswani et al. 2017, section 3.5"}),
      layer<Rotary, RotarySettings>({"rotary",
                                     "rotates pairs of features by position",
                                     "arXiv 2104.09864, eq. 34",
                                     {"x", "positions?"}}),
      layer<Alibi, AlibiOptions>({"alibi",
                                  "scores - slope of the head x distance to the past",
                                  "arXiv 2108.12409, section 3",
                                  {"scores"}}),
      language_model<RoutingTransformer>(
          {"routing_transformer",
           "decoder some of whose heads route by content, beside near blocks; text and pixels",
           "arXiv 2003.05997"},
          read_routing_transformer_options),
      language_model<Gpt>({"gpt", "decoder-only language model, GPT-2 and Llama styles",
                           "Radford et al. 2019; arXiv 2302.13971"},
                          read_gpt_options),
      entry<ClipVision, ClipVisionOptions>(
          "model", {"clip_vision", "the image tower of vision-language models: states of patches",
                    "arXiv 2103.00020"}),
      llava(),
      encoder(),
      recommender<SequentialRecommender, SequentialRecommenderOptions>(
          {"sequential_recommender", "a user's next item from those before, SASRec style",
           "arXiv 1808.09781"}),
      recommender<MultiQueryRecommender, MultiQueryRecommenderOptions>(
          {"multi_query_recommender",
           "a user's next item, looked up by the newest item and by the mean of the last ones",
           "arXiv 2311.01056"}),
      recommender<RecurrentRecommender, RecurrentRecommenderOptions>(
          {"recurrent_recommender", "a user's next item, GRU4Rec style", "arXiv 1511.06939"}),
      cross_attention(),
      encoder_decoder(),
      text_classifier<GruClassifier, GruClassifierOptions>(
          {"gru_classifier", "recurrent text classifier, GRU or LSTM", "arXiv 1406.1078"},
          read_gru_classifier_options),
      text_classifier<CompactText, CompactTextOptions>(
          {"compact_text", "compact transformers of texts: convolutional tokens, sequence pooling",
           "arXiv 2104.05704"},
          read_compact_text_options),
      features_classifier(),
      image_classifier<MobileNet, MobileNetOptions>(
          {"mobilenet", "depthwise separable convolutions, v1 and v2",
           "arXiv 1704.04861; arXiv 1801.04381"},
          read_mobilenet_options),
      image_classifier<Pyramid, PyramidOptions>(
          {"pyramid", "hierarchical vision transformer; its stages are options",
           "arXiv 2103.14030; arXiv 2204.07143; arXiv 2209.15001; arXiv 2204.03645; arXiv "
           "2202.09741"},
          read_pyramid_options),
      image_model<DensePyramid, DensePyramidOptions>(
          {"dense_pyramid", "a pyramid's maps of all stages to a result for every pixel",
           "arXiv 2105.15203, section 3.2"},
          read_dense_pyramid_options),
      image_classifier<ResNet, ResNetOptions>(
          {"resnet", "residual convolutional network, ImageNet and CIFAR forms",
           "arXiv 1512.03385"},
          read_resnet_options),
      image_model<Unet, UnetOptions>(
          {"unet", "U-Net of residual blocks, for segmentation and denoising",
           "arXiv 1505.04597; arXiv 2006.11239, appendix B"},
          read_unet_options),
      image_model<Dit, DitOptions>(
          {"dit", "diffusion transformer with adaLN-Zero, for images and clips",
           "arXiv 2212.09748"},
          read_dit_options),
      image_model<Edsr, EdsrOptions>(
          {"edsr", "super-resolution by residual blocks without norms", "arXiv 1707.02921"},
          read_edsr_options),
      image_classifier<Vit, VitOptions>(
          {"vit", "vision transformer; DeiT's and Compact Transformers' sizes",
           "arXiv 2010.11929; arXiv 2012.12877; arXiv 2104.05704"},
          read_vit_options),
  };
  for (ModuleEntry& loss : loss_entries()) entries.push_back(std::move(loss));
  for (const AttentionEntry& mechanism : attention_registry()) {
    entries.push_back(attention(mechanism));
  }
  for (const PoolingEntry& given : pooling_registry()) entries.push_back(pooling(given));
  std::sort(entries.begin(), entries.end(), [](const ModuleEntry& a, const ModuleEntry& b) {
    return std::tie(a.kind, a.name) < std::tie(b.kind, b.name);
  });
  return entries;
}

}  // namespace

const std::vector<ModuleEntry>& module_registry() {
  static const std::vector<ModuleEntry> entries = all_entries();
  return entries;
}

const ModuleEntry& find_module(const std::string& name, const std::string& kind,
                               const SourceLocation& where) {
  std::vector<std::string> names;
  const ModuleEntry* by_alias = nullptr;  // the attention "linear" must not hide the layer
  for (const ModuleEntry& e : module_registry()) {
    if (!kind.empty() && e.kind != kind) continue;
    if (e.name == name) return e;
    names.push_back(e.name);
    for (const std::string& alias : e.aliases) {
      if (alias == name && by_alias == nullptr) by_alias = &e;
      names.push_back(alias);
    }
  }
  if (by_alias != nullptr) return *by_alias;
  fail_request(where, fmt::format("unknown {} '{}'{}", kind.empty() ? "module" : kind, name,
                                  did_you_mean(name, names)));
}

}  // namespace heed::nn
