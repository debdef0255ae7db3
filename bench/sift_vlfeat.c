/* VLFeat's SIFT of one picture, printed as bench_sift_quality prints ours: a line a key point, `x y` and the 128
 * components, the strongest first. VLFeat states no strength, so |DoG| at the extremum's pixel is taken, as OpenCV does.
 * bench/sift_quality.py compiles this where vl/sift.h (Debian package libvlfeat-dev) is found.
 *
 *     sift_vlfeat PICTURE.pgm MOST      (binary PGM of 8 bits, without comments)
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <vl/sift.h>

struct found {
  float x, y, strength;
  vl_sift_pix descriptor[128];
};

static int stronger(const void* a, const void* b) {
  const float p = ((const struct found*)a)->strength, q = ((const struct found*)b)->strength;
  return (p < q) - (p > q);
}

static float strength_of(const VlSiftFilt* filter, const VlSiftKeypoint* k) {
  const int at = k->iy * vl_sift_get_octave_width(filter) + k->ix;
  return fabsf(vl_sift_get_octave(filter, k->is + 1)[at] - vl_sift_get_octave(filter, k->is)[at]);
}

int main(int argc, char** argv) {
  if (argc != 3) return fprintf(stderr, "usage: sift_vlfeat PICTURE.pgm MOST\n"), 2;
  FILE* const file = fopen(argv[1], "rb");
  int width = 0, height = 0;
  if (!file || fscanf(file, "P5 %d %d 255", &width, &height) != 2 || width < 1 || height < 1 || fgetc(file) == EOF)
    return fprintf(stderr, "sift_vlfeat: %s: not a binary PGM of 8 bits\n", argv[1]), 2;
  vl_sift_pix* const picture = malloc(sizeof *picture * (size_t)width * (size_t)height);
  for (long i = 0; i < (long)width * height; ++i) picture[i] = (vl_sift_pix)fgetc(file);
  fclose(file);

  VlSiftFilt* const filter = vl_sift_new(width, height, -1, 3, -1); /* all octaves, 3 scales, the picture doubled */
  struct found* all = NULL;
  size_t count = 0, room = 0;
  for (int error = vl_sift_process_first_octave(filter, picture); !error; error = vl_sift_process_next_octave(filter)) {
    vl_sift_detect(filter);
    const VlSiftKeypoint* const keypoints = vl_sift_get_keypoints(filter);
    for (int i = 0; i < vl_sift_get_nkeypoints(filter); ++i) {
      double angles[4];
      const int directions = vl_sift_calc_keypoint_orientations(filter, angles, keypoints + i);
      for (int j = 0; j < directions; ++j) {
        if (count == room) all = realloc(all, sizeof *all * (room = 2 * room + 1024));
        struct found* const next = all + count++;
        next->x = keypoints[i].x;
        next->y = keypoints[i].y;
        next->strength = strength_of(filter, keypoints + i);
        vl_sift_calc_keypoint_descriptor(filter, next->descriptor, keypoints + i, angles[j]);
      }
    }
  }
  qsort(all, count, sizeof *all, stronger);
  const size_t most = (size_t)atol(argv[2]);
  for (size_t i = 0; i < count && i < most; ++i) {
    printf("%.4f %.4f", all[i].x, all[i].y);
    for (int j = 0; j < 128; ++j) printf(" %.7g", all[i].descriptor[j]);
    printf("\n");
  }
  vl_sift_delete(filter);
  free(all);
  free(picture);
  return 0;
}
