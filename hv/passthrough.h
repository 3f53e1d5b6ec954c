/*
 * Physical PCI functions in a partition: their memory in its tables, their interrupts on its CPUs,
 * their reset with its life. hv/vdev/vpci*.c shows them to the guest.
 *
 * A guest without `pci =` has no struct passthrough, and none of this runs for it.
 */
#pragma once

#include "hv/config.h"
#include "hv/refuse.h"
#include "hv/vdev/vpci.h"

struct partition;
struct vcpu;
struct passthrough;

/*
 * Boot CPU, before any partition is made: every function exists and may be passed, its DMA is held
 * by an IOMMU or accepted, and no interrupt line must serve two guests. Refuses with the place.
 */
bool passthrough_check(const struct config *c, const struct config_machine *m, struct refusal *r);
/* Boot CPU: p->devices for the functions of p->config; they are reset. p->as and p->pc exist. */
bool passthrough_create(struct partition *p, struct refusal *r);
/*
 * Functions that no guest owns: no bus mastering but for displays, no interrupts. Then the bridges
 * above the others are opened. Boot CPU, after all are created.
 */
void passthrough_silence_rest(void);

/* The boot vCPU's CPU, all vCPUs standing still: devices as after RESET#; or off, and told. */
void passthrough_start(struct partition *p);
void passthrough_stop(struct partition *p);

/* This vCPU has changed the tables: all vCPUs of its partition flush. Waits for those alone. */
void passthrough_flush(struct vcpu *v);

/*
 * The IOMMU has blocked DMA of a partition's function, or an interrupt request; `many` of those in
 * a short time are as bad as DMA, as units cannot be quiet about them. True: its guest is stopped
 * for that, by this call, and the function's faults are quiet until it starts again. Any CPU, one
 * at a time.
 */
struct iommu_fault;
bool passthrough_dma_fault(const struct iommu_fault *f, bool many);

/* A physical interrupt in HOST_VECTOR_DEVICE_FIRST..LAST, on the CPU of v (NULL: of nobody). */
void passthrough_interrupt(struct vcpu *v, uint8_t vector);

/* EOI of a pin of the virtual I/O APIC, or of an input of the 8259s. Device lock held. */
void passthrough_pin_eoi(void *partition, unsigned pin);
void passthrough_pic_eoi(void *partition, unsigned irq);
/* The guest has changed their masks. */
void passthrough_pin_masked(void *partition, unsigned pin);
void passthrough_pic_masked(void *partition, unsigned irq);

/* The GSI of a function's interrupt pin: hv/acpi/dsdt.asl says the same. */
enum { PASSTHROUGH_GSI = 16, PASSTHROUGH_GSIS = 8 };
static inline unsigned passthrough_gsi(const struct vpci_function *f)
{
	return PASSTHROUGH_GSI + ((f->devfn >> 3) + f->pci->pin - 1u) % PASSTHROUGH_GSIS;
}
