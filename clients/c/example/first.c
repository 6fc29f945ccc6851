/* The shortest use: raise the timer's line, see the CPU's input rise, acknowledge.  cc first.c vgicd.c; ./a.out ADDRESS */
#include "vgicd.h"

#include <stdio.h>

int main(int argc, char **argv)
{
    struct vgicd *gic = vgicd_new();
    uint64_t iar;
    if (argc != 2 || !gic || vgicd_connect(gic, argv[1], NULL) < 0)
        goto failed;
    if (vgicd_write(gic, 0, VGICD_SPACE_GICD, 0x000, 4, 1) < 0           /* GICD_CTLR: forward */
        || vgicd_write(gic, 0, VGICD_SPACE_GICD, 0x100, 4, 1u << 27) < 0 /* GICD_ISENABLER0: PPI 27 */
        || vgicd_write(gic, 0, VGICD_SPACE_GICC, 0x004, 4, 0xFF) < 0     /* GICC_PMR: every priority */
        || vgicd_write(gic, 0, VGICD_SPACE_GICC, 0x000, 4, 1) < 0        /* GICC_CTLR: signal */
        || vgicd_line(gic, 27, 0, 1) < 0)                                /* the timer of vCPU 0 */
        goto failed;
    printf("IRQ input of vCPU 0: %d\n", vgicd_irq(gic, 0));
    if (vgicd_read(gic, 0, VGICD_SPACE_GICC, 0x00C, 4, &iar) < 0 || vgicd_line(gic, 27, 0, 0) < 0
        || vgicd_write(gic, 0, VGICD_SPACE_GICC, 0x010, 4, iar) < 0)     /* GICC_IAR, the cause goes, GICC_EOIR */
        goto failed;
    printf("acknowledged %d, IRQ input now: %d\n", (int)iar, vgicd_irq(gic, 0));
    vgicd_free(gic);
    return 0;
failed:
    fprintf(stderr, "%s\n", gic ? vgicd_error(gic) : "out of memory");
    vgicd_free(gic);
    return 1;
}
