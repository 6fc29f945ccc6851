/*
 * The C client on the measured core: what an emulator in C gets.
 *
 *   c_client ADDRESS STEPS ENTRIES
 *
 * STEPS is a file of `struct step`, whose answers are compared.  ENTRIES 1 makes a call for each, larger ones vectors of
 * so many.  Nanoseconds go to standard output, a line for each slice: 100 calls, or one vector.
 *
 * Exit status: 0 all answers as expected, 1 an answer differs, 2 the run could not be made.
 */
#define _POSIX_C_SOURCE 200809L

#include "vgicd.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { SLICE = 100 };

struct step { /* in the machine's byte order; c_client.py writes it */
    uint64_t address, value, answer;
    uint32_t outputs, opcode, vcpu, size, space, zero;
};

static struct vgicd *gic;

static void cannot(const char *what)
{
    fprintf(stderr, "c_client: %s: %s\n", what, gic ? vgicd_error(gic) : "out of memory");
    exit(2);
}

static uint64_t nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static struct step *load(const char *path, size_t *count)
{
    FILE *file = fopen(path, "rb");
    struct step *steps;
    long size;
    if (!file || fseek(file, 0, SEEK_END) != 0 || (size = ftell(file)) < 0 || fseek(file, 0, SEEK_SET) != 0)
        cannot(path);
    *count = (size_t)size / sizeof *steps;
    steps = malloc((size_t)size + 1);
    if (!steps || (size_t)size % sizeof *steps || fread(steps, sizeof *steps, *count, file) != *count)
        cannot(path);
    fclose(file);
    return steps;
}

static int ask(const struct step *step, uint64_t *value)
{
    *value = 0;
    switch (step->opcode) {
    case VGICD_OP_READ: return vgicd_read(gic, step->vcpu, step->space, step->address, step->size, value);
    case VGICD_OP_WRITE: return vgicd_write(gic, step->vcpu, step->space, step->address, step->size, step->value);
    default:
        if (step->space)
            return vgicd_pulse(gic, (unsigned)step->address, step->vcpu);
        return vgicd_line(gic, (unsigned)step->address, step->vcpu, (int)step->value);
    }
}

static struct vgicd_entry entry_of(const struct step *step)
{
    const uint32_t offset = (uint32_t)step->address;
    switch (step->opcode) {
    case VGICD_OP_READ: return vgicd_reading(step->vcpu, step->space, offset, step->size);
    case VGICD_OP_WRITE: return vgicd_writing(step->vcpu, step->space, offset, step->size, step->value);
    default:
        return step->space ? vgicd_pulsing(offset, step->vcpu) : vgicd_driving(offset, step->vcpu, (int)step->value);
    }
}

static void compare(const struct step *step, uint64_t value, uint16_t outputs, size_t number)
{
    if (value == step->answer && outputs == step->outputs)
        return;
    fprintf(stderr, "c_client: step %zu was answered 0x%" PRIx64 " with outputs 0x%x, not 0x%" PRIx64 " with 0x%" PRIx32 "\n",
            number, value, outputs, step->answer, step->outputs);
    exit(1);
}

static void one_by_one(const struct step *steps, size_t count)
{
    uint64_t values[SLICE];
    uint16_t outputs[SLICE];
    size_t at, i;
    for (at = 0; at + SLICE <= count; at += SLICE) {
        const uint64_t started = nanoseconds();
        for (i = 0; i < SLICE; i++) {
            if (ask(&steps[at + i], &values[i]) != VGICD_OK)
                cannot("a call");
            outputs[i] = vgicd_outputs(gic);
        }
        printf("%" PRIu64 "\n", nanoseconds() - started);
        for (i = 0; i < SLICE; i++)
            compare(&steps[at + i], values[i], outputs[i], at + i);
    }
}

static void vectors(const struct step *steps, size_t count, size_t entries)
{
    static struct vgicd_entry asked[VGICD_VECTOR_LIMIT];
    static struct vgicd_outcome got[VGICD_VECTOR_LIMIT];
    size_t at, i;
    for (at = 0; at + entries <= count; at += entries) {
        uint64_t started;
        for (i = 0; i < entries; i++)
            asked[i] = entry_of(&steps[at + i]);
        started = nanoseconds();
        if (vgicd_vector(gic, asked, entries, got) != VGICD_OK)
            cannot("a vector");
        printf("%" PRIu64 "\n", nanoseconds() - started);
        for (i = 0; i < entries; i++)
            compare(&steps[at + i], got[i].value, got[i].outputs, at + i);
    }
}

int main(int argc, char **argv)
{
    struct vgicd_options options = {VGICD_ROLE_GUEST, 0, "bench", 0, 0};
    struct step *steps;
    size_t count, entries;
    if (argc != 4) {
        fputs("usage: c_client ADDRESS STEPS ENTRIES\n", stderr);
        return 2;
    }
    entries = strtoul(argv[3], NULL, 10);
    gic = vgicd_new();
    if (!gic || entries < 1 || entries > VGICD_VECTOR_LIMIT || vgicd_connect(gic, argv[1], &options) < 0)
        cannot("connecting");
    steps = load(argv[2], &count);
    if (entries == 1)
        one_by_one(steps, count);
    else
        vectors(steps, count, entries);
    free(steps);
    vgicd_free(gic);
    return 0;
}
