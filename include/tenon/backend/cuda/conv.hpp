// 2-D convolution and its gradients through cuDNN: x (N,H,W,C), w (O,KH,KW,C/groups), y (N,OH,OW,O).
//
// The algorithm is the first of cuDNN's ranking that is deterministic and within the workspace limit,
// remembered by geometry. float is multiplied as float (no TF32). cuDNN has no N×H×W×C kernels for double;
// those, and whatever else it declines, take the plain kernels of kernels/conv.cu: correct, and far slower.
#pragma once

#include <array>
#include <map>
#include <vector>

#include "tenon/backend/cuda/descriptors.hpp"
#include "tenon/backend/cuda/kernels.hpp"
#include "tenon/backend/cuda/vendor_types.hpp"
#include "tenon/core/functors.hpp"

namespace tenon::cuda {

namespace detail {

struct ConvDescriptors {
  TensorDescriptor x, y;
  FilterDescriptor w;
  ConvolutionDescriptor conv;

  ConvDescriptors(const Conv2dGeometry& g, cudnnDataType_t type) {
    const auto i = [](Index value) { return static_cast<int>(value); };
    set_tensor(x, type, g.n, g.h, g.w, g.c);
    set_tensor(y, type, g.n, g.oh, g.ow, g.o);
    check(cudnnSetFilter4dDescriptor(w.get(), type, CUDNN_TENSOR_NHWC, i(g.o), i(g.group_in()), i(g.kh),
                                     i(g.kw)),
          "cudnnSetFilter4dDescriptor");
    check(cudnnSetConvolution2dDescriptor(conv.get(), i(g.pad_h), i(g.pad_w), i(g.stride_h), i(g.stride_w),
                                          i(g.dilation_h), i(g.dilation_w), CUDNN_CROSS_CORRELATION,
                                          CUDNN_DATA_FLOAT),
          "cudnnSetConvolution2dDescriptor");
    check(cudnnSetConvolutionGroupCount(conv.get(), i(g.groups)), "cudnnSetConvolutionGroupCount");
    check(cudnnSetConvolutionMathType(conv.get(),
                                      type == CUDNN_DATA_FLOAT ? CUDNN_FMA_MATH : CUDNN_TENSOR_OP_MATH),
          "cudnnSetConvolutionMathType");
  }
};

// The three directions, so that one piece of code chooses their algorithms.
struct ConvForward {
  using Ranked = cudnnConvolutionFwdAlgoPerf_t;
  using Algorithm = cudnnConvolutionFwdAlgo_t;
  static cudnnStatus_t rank(cudnnHandle_t h, const ConvDescriptors& d, int count, int* found, Ranked* out) {
    return cudnnGetConvolutionForwardAlgorithm_v7(h, d.x.get(), d.w.get(), d.conv.get(), d.y.get(), count,
                                                  found, out);
  }
  static cudnnStatus_t workspace(cudnnHandle_t h, const ConvDescriptors& d, Algorithm a, std::size_t* bytes) {
    return cudnnGetConvolutionForwardWorkspaceSize(h, d.x.get(), d.w.get(), d.conv.get(), d.y.get(), a,
                                                   bytes);
  }
};

struct ConvBackwardData {
  using Ranked = cudnnConvolutionBwdDataAlgoPerf_t;
  using Algorithm = cudnnConvolutionBwdDataAlgo_t;
  static cudnnStatus_t rank(cudnnHandle_t h, const ConvDescriptors& d, int count, int* found, Ranked* out) {
    return cudnnGetConvolutionBackwardDataAlgorithm_v7(h, d.w.get(), d.y.get(), d.conv.get(), d.x.get(),
                                                       count, found, out);
  }
  static cudnnStatus_t workspace(cudnnHandle_t h, const ConvDescriptors& d, Algorithm a, std::size_t* bytes) {
    return cudnnGetConvolutionBackwardDataWorkspaceSize(h, d.w.get(), d.y.get(), d.conv.get(), d.x.get(), a,
                                                        bytes);
  }
};

struct ConvBackwardWeights {
  using Ranked = cudnnConvolutionBwdFilterAlgoPerf_t;
  using Algorithm = cudnnConvolutionBwdFilterAlgo_t;
  static cudnnStatus_t rank(cudnnHandle_t h, const ConvDescriptors& d, int count, int* found, Ranked* out) {
    return cudnnGetConvolutionBackwardFilterAlgorithm_v7(h, d.x.get(), d.y.get(), d.conv.get(), d.w.get(),
                                                         count, found, out);
  }
  static cudnnStatus_t workspace(cudnnHandle_t h, const ConvDescriptors& d, Algorithm a, std::size_t* bytes) {
    return cudnnGetConvolutionBackwardFilterWorkspaceSize(h, d.x.get(), d.y.get(), d.conv.get(), d.w.get(), a,
                                                          bytes);
  }
};

template <class Direction>
struct ConvPlan {
  struct Choice {
    typename Direction::Algorithm algorithm;
    std::size_t workspace;
  };

  ConvDescriptors descriptors;
  std::vector<Choice> choices;  // best first; empty: cuDNN declines

  ConvPlan(cudnnHandle_t handle, const Conv2dGeometry& g, cudnnDataType_t type) : descriptors(g, type) {
    constexpr int most = 16;
    constexpr std::size_t most_workspace = std::size_t{512} << 20;
    std::array<typename Direction::Ranked, most> ranked{};
    int found = 0;
    const cudnnStatus_t status = Direction::rank(handle, descriptors, most, &found, ranked.data());
    if (not_supported(status)) return;
    check(status, "cudnnGetConvolution…Algorithm_v7");
    for (int i = 0; i < found; ++i) {
      const auto& r = ranked[static_cast<std::size_t>(i)];
      if (r.status != CUDNN_STATUS_SUCCESS || r.determinism != CUDNN_DETERMINISTIC) continue;
      std::size_t bytes = 0;  // asked again, since the ranking may have assumed another math type
      if (Direction::workspace(handle, descriptors, r.algo, &bytes) != CUDNN_STATUS_SUCCESS) continue;
      if (bytes <= most_workspace) choices.push_back({r.algo, bytes});
    }
  }
};

// Calls run(handle, descriptors, algorithm, workspace) with the best choice that works. False: cuDNN
// declines.
template <class Direction, class T, class Run>
bool with_conv_plan(const Conv2dGeometry& g, std::string_view call, const Run& run) {
  const Index largest = std::max({g.n * g.h * g.w * g.c, g.n * g.oh * g.ow * g.o, g.o * g.taps()});
  if (!fits_cudnn(largest)) return false;
  using Key = std::array<Index, 17>;
  static auto* plans = new std::map<Key, ConvPlan<Direction>>;  // not destroyed: see context.hpp
  const Key key{g.n,
                g.h,
                g.w,
                g.c,
                g.o,
                g.kh,
                g.kw,
                g.oh,
                g.ow,
                g.stride_h,
                g.stride_w,
                g.pad_h,
                g.pad_w,
                g.dilation_h,
                g.dilation_w,
                g.groups,
                static_cast<Index>(cudnn_type<T>())};
  auto& context = Context::instance();
  const auto lock = context.lock();
  const cudnnHandle_t handle = context.cudnn();
  auto& plan = plans->try_emplace(key, handle, g, cudnn_type<T>()).first->second;
  while (!plan.choices.empty()) {
    const auto choice = plan.choices.front();
    const DeviceScratch<> workspace(choice.workspace);
    const cudnnStatus_t status = run(handle, plan.descriptors, choice.algorithm, workspace);
    if (status == CUDNN_STATUS_SUCCESS) return true;
    if (!not_supported(status)) check(status, call);
    plan.choices.erase(plan.choices.begin());
  }
  return false;
}

inline constexpr float conv_one = 1, conv_zero = 0;

template <class T>
bool empty_conv(const Conv2dGeometry& g) {
  return g.n * g.oh * g.ow * g.o * g.taps() == 0;
}

}  // namespace detail

// bias (O) may be null.
template <class T>
void conv2d_forward(const Conv2dGeometry& g, const T* x, const T* w, const T* bias, T* y) {
  const Index rows = g.n * g.oh * g.ow;
  if (rows * g.o == 0) return;
  bool done = false;
  if constexpr (!std::same_as<T, double>) {
    done = detail::with_conv_plan<detail::ConvForward, T>(
        g, "cudnnConvolutionForward", [&](auto handle, const auto& d, auto algorithm, const auto& workspace) {
          return cudnnConvolutionForward(handle, &detail::conv_one, d.x.get(), x, d.w.get(), w, d.conv.get(),
                                         algorithm, workspace.data(), workspace.bytes(), &detail::conv_zero,
                                         d.y.get(), y);
        });
  }
  const cudaStream_t stream = Context::instance().stream();
  if (!done) check_kernel(kernels::conv2d_forward(stream, g, x, w, y), "conv2d_forward");
  if (bias) {
    BroadcastGeometry add;
    add.rank = 2;
    add.extent = {rows, g.o};
    add.stride_a = {g.o, 1};
    add.stride_b = {0, 1};
    check_kernel(kernels::zip_broadcast(stream, fn::Add{}, add, static_cast<const T*>(y), bias, y),
                 "add bias");
  }
}

template <class T>
void conv2d_backward_data(const Conv2dGeometry& g, const T* dy, const T* w, T* dx) {
  if (g.n * g.h * g.w * g.c == 0) return;
  bool done = false;
  if constexpr (!std::same_as<T, double>) {
    done = !detail::empty_conv<T>(g) &&
           detail::with_conv_plan<detail::ConvBackwardData, T>(
               g, "cudnnConvolutionBackwardData",
               [&](auto handle, const auto& d, auto algorithm, const auto& workspace) {
                 return cudnnConvolutionBackwardData(handle, &detail::conv_one, d.w.get(), w, d.y.get(), dy,
                                                     d.conv.get(), algorithm, workspace.data(),
                                                     workspace.bytes(), &detail::conv_zero, d.x.get(), dx);
               });
  }
  if (done) return;
  check_kernel(kernels::conv2d_backward_data(Context::instance().stream(), g, dy, w, dx),
               "conv2d_backward_data");
}

template <class T>
void conv2d_backward_weights(const Conv2dGeometry& g, const T* x, const T* dy, T* dw) {
  if (g.o * g.taps() == 0) return;
  bool done = false;
  if constexpr (!std::same_as<T, double>) {
    done = !detail::empty_conv<T>(g) &&
           detail::with_conv_plan<detail::ConvBackwardWeights, T>(
               g, "cudnnConvolutionBackwardFilter",
               [&](auto handle, const auto& d, auto algorithm, const auto& workspace) {
                 return cudnnConvolutionBackwardFilter(handle, &detail::conv_one, d.x.get(), x, d.y.get(), dy,
                                                       d.conv.get(), algorithm, workspace.data(),
                                                       workspace.bytes(), &detail::conv_zero, d.w.get(), dw);
               });
  }
  if (done) return;
  check_kernel(kernels::conv2d_backward_weights(Context::instance().stream(), g, x, dy, dw),
               "conv2d_backward_weights");
}

}  // namespace tenon::cuda
