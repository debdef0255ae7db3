// The cases of kernel_speed.cpp in oneDNN 3. `--layout any` lets it choose the memory layout of every
// operand, and the reordering into it is not timed; `--layout plain` gives it row-major matrices and N,H,W,C
// pictures.
#include <omp.h>

#include <oneapi/dnnl/dnnl.hpp>
#include <unordered_map>

#include "../cases.hpp"

namespace {

using dnnl::memory;

// Memory of the described layout, full of numbers.
memory filled(const memory::desc& layout, const dnnl::engine& engine) {
  memory m(layout, engine);
  bench::fill(static_cast<float*>(m.get_data_handle()), layout.get_size() / sizeof(float));
  return m;
}

memory::desc described(const memory::dims& dims, bool any, memory::format_tag plain) {
  return {dims, memory::data_type::f32, any ? memory::format_tag::any : plain};
}

class Peer {
 public:
  Peer(const bench::Options& options, bool any) : options_(options), any_(any) {}

  void time_gemm(const bench::Case& c) {
    const auto& g = c.gemm;
    const auto matrix = [&](long rows, long columns) {
      return described({rows, columns}, any_, memory::format_tag::ab);
    };
    const dnnl::matmul::primitive_desc plan(engine_, matrix(g.m, g.k), matrix(g.k, g.n), matrix(g.m, g.n));
    run(c, dnnl::matmul(plan),
        {{DNNL_ARG_SRC, filled(plan.src_desc(), engine_)},
         {DNNL_ARG_WEIGHTS, filled(plan.weights_desc(), engine_)},
         {DNNL_ARG_DST, filled(plan.dst_desc(), engine_)}});
  }

  void time_conv(const bench::Case& c) {
    using tag = memory::format_tag;
    const auto& s = c.conv;
    const auto x = described({s.n, s.c, s.h, s.w}, any_, tag::nhwc),
               y = described({s.n, s.o, s.oh(), s.ow()}, any_, tag::nhwc);
    // The layout of weights is oneDNN's own business either way: a framework keeps them packed.
    const auto w = described({s.o, s.c, s.k, s.k}, true, tag::any);
    const memory::dims stride{s.stride, s.stride}, padding{s.padding, s.padding};
    const auto algorithm = dnnl::algorithm::convolution_auto;
    const dnnl::convolution_forward::primitive_desc forward(engine_, dnnl::prop_kind::forward_training,
                                                            algorithm, x, w, y, stride, padding, padding);
    if (c.work == bench::Work::forward) {
      run(c, dnnl::convolution_forward(forward),
          {{DNNL_ARG_SRC, filled(forward.src_desc(), engine_)},
           {DNNL_ARG_WEIGHTS, filled(forward.weights_desc(), engine_)},
           {DNNL_ARG_DST, filled(forward.dst_desc(), engine_)}});
    } else if (c.work == bench::Work::data) {
      const dnnl::convolution_backward_data::primitive_desc plan(engine_, algorithm, x, w, y, stride, padding,
                                                                 padding, forward);
      run(c, dnnl::convolution_backward_data(plan),
          {{DNNL_ARG_DIFF_DST, filled(plan.diff_dst_desc(), engine_)},
           {DNNL_ARG_WEIGHTS, filled(plan.weights_desc(), engine_)},
           {DNNL_ARG_DIFF_SRC, filled(plan.diff_src_desc(), engine_)}});
    } else {
      const dnnl::convolution_backward_weights::primitive_desc plan(engine_, algorithm, x, w, y, stride,
                                                                    padding, padding, forward);
      run(c, dnnl::convolution_backward_weights(plan),
          {{DNNL_ARG_SRC, filled(plan.src_desc(), engine_)},
           {DNNL_ARG_DIFF_DST, filled(plan.diff_dst_desc(), engine_)},
           {DNNL_ARG_DIFF_WEIGHTS, filled(plan.diff_weights_desc(), engine_)}});
    }
  }

 private:
  void run(const bench::Case& c, const dnnl::primitive& work,
           const std::unordered_map<int, memory>& operands) {
    bench::report(c, options_, [&] {
      work.execute(stream_, operands);
      stream_.wait();
    });
  }

  bench::Options options_;
  bool any_;
  dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream_{engine_};
};

}  // namespace

int main(int argc, char** argv) {
  std::string layout = "any";
  bool version = false;
  const auto options = bench::read_options(argc, argv, "Times oneDNN's kernels", [&](CLI::App& app) {
    app.add_option("--layout", layout)->check(CLI::IsMember({"any", "plain"}));
    app.add_flag("--version", version);
  });
  if (version) {
    const auto* v = dnnl_version();
    std::printf("oneDNN %d.%d.%d\n", v->major, v->minor, v->patch);
  }
  omp_set_num_threads(options.threads);
  Peer peer(options, layout == "any");
  for (const auto& c : options.cases) c.work == bench::Work::gemm ? peer.time_gemm(c) : peer.time_conv(c);
}
