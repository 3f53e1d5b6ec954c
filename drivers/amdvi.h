/*
 * What the files of the AMD-Vi driver share; nobody else includes it (AMD I/O Virtualization
 * Technology Specification: "Registers", "Device Table", "Commands", "Event Logging").
 */
#pragma once

#include "drivers/acpi_ivrs.h"
#include "drivers/iommu.h"
#include "hv/lib/lock.h"

/* --- registers: offsets in the unit's pages, 64 bits each --- */

enum amdvi_register {
	AMDVI_DEVICE_TABLE = 0x00,
	AMDVI_COMMANDS = 0x08, /* base of the buffer */
	AMDVI_EVENTS = 0x10,   /* base of the log */
	AMDVI_CONTROL = 0x18,
	AMDVI_EXCLUSION = 0x20, /* base and, bit 0, on */
	AMDVI_EXCLUSION_LIMIT = 0x28,
	AMDVI_EXTENDED = 0x30, /* extended feature */
	AMDVI_COMMAND_HEAD = 0x2000,
	AMDVI_COMMAND_TAIL = 0x2008,
	AMDVI_EVENT_HEAD = 0x2010,
	AMDVI_EVENT_TAIL = 0x2018,
	AMDVI_STATUS = 0x2020,
};

enum { AMDVI_REGISTERS = 0x4000, AMDVI_COUNTERS_END = 0x80000 };

/* DEVICE_TABLE: size in pages less one. COMMANDS, EVENTS: log2 of their entries. */
#define AMDVI_TABLE_SIZE FIELD(8, 0)
#define AMDVI_LENGTH	 FIELD(59, 56)

/* CONTROL */
enum amdvi_control {
	AMDVI_ON = BIT(0),
	AMDVI_EVENT_LOG = BIT(2),
	AMDVI_EVENT_INTERRUPT = BIT(3),
	AMDVI_COHERENT = BIT(10), /* looks into caches when it reads the device table */
	AMDVI_COMMAND_BUFFER = BIT(12),
};

/* What firmware may have set for the machine's links, which stays. */
#define AMDVI_LINK (FIELD(1, 1) | FIELD(9, 5) | FIELD(11, 11))

/* STATUS */
enum {
	AMDVI_OVERFLOW = BIT(0),
	AMDVI_EVENT_PENDING = BIT(1),
	AMDVI_LOG_RUNS = BIT(3),
	AMDVI_COMMANDS_RUN = BIT(4),
};

/* EXTENDED */
#define AMDVI_EXT_ALL	   BIT(6) /* INVALIDATE_IOMMU_ALL */
#define AMDVI_EXT_COUNTERS BIT(9)

/* --- memory --- */

/* Device table entry. */
struct amdvi_device {
	uint64_t translation; /* root, mode, permission */
	uint64_t domain;
	uint64_t interrupts;
	uint64_t reserved;
};
_Static_assert(offsetof(struct amdvi_device, interrupts) == 16, "bits 191:128");
_Static_assert(sizeof(struct amdvi_device) == 32, "256 bits");

enum { AMDVI_DEVICES = 65536 };
#define AMDVI_VALID	     (BIT(0) | BIT(1)) /* the entry; its translation */
#define AMDVI_MODE	     FIELD(11, 9)      /* levels; 0: permission alone decides */
#define AMDVI_READ	     BIT(61)
#define AMDVI_WRITE	     BIT(62)
#define AMDVI_NEXT_LEVEL     FIELD(11, 9) /* in page table entries */
#define AMDVI_FORCE_COHERENT BIT(60)	  /* in leaves */
#define AMDVI_QUIET	     BIT(34)	  /* suppress all page fault events */
#define AMDVI_INT_VALID	     BIT(0)
#define AMDVI_INT_LENGTH     FIELD(4, 1)   /* log2 of the entries */
#define AMDVI_INT_CONTROL    FIELD(61, 60) /* enum amdvi_int_control */

enum amdvi_int_control { AMDVI_INT_ABORT = 0, AMDVI_INT_PASS = 1, AMDVI_INT_REMAP = 2 };

struct amdvi_pair { /* a command, an event */
	uint64_t low, high;
};
_Static_assert(sizeof(struct amdvi_pair) == 16, "128 bits");

/* --- units --- */

struct amdvi_unit {
	const struct ivrs_unit *acpi;
	volatile uint8_t *at;
	uint64_t ext;
	struct lock lock; /* of the commands */
	hpa_t memory;	  /* commands, events and the word that a completion writes */
	struct amdvi_pair *commands;
	struct amdvi_pair *events;
	uint64_t *done;
	unsigned tail;
	uint64_t routed; /* where its MSI goes: APIC id 39:8, vector 7:0; 0: nowhere */
};

/* What holds for all units; but for the table, nothing of it changes after enable. */
struct amdvi {
	struct ivrs_info ivrs;
	struct amdvi_unit unit[IVRS_UNITS];
	bool remapping;		    /* interrupts */
	struct amdvi_device *table; /* of segment 0 */
};
extern struct amdvi amdvi;

/* Always false. */
bool amdvi_refuse(struct refusal *r, const struct amdvi_unit *u, const char *why);
/* d NULL: blocked. */
struct amdvi_device amdvi_entry(const struct iommu_domain *d, uint64_t interrupts);

uint64_t amdvi_read(const struct amdvi_unit *u, unsigned offset);
void amdvi_write(const struct amdvi_unit *u, unsigned offset, uint64_t value);
/* Waits until these bits of STATUS are 0, for a second at most. */
bool amdvi_wait(const struct amdvi_unit *u, uint64_t bits);

/* --- amdvi_device.c: of struct iommu_ops --- */

bool amdvi_domain_create(const struct addrspace *as, struct iommu_domain **d, struct refusal *r);
/*
 * Lets devices reach what firmware reserved for them, and nothing else, until a partition has them.
 * Before the units are on.
 */
void amdvi_honour_firmware(void);
bool amdvi_attach(uint16_t bdf, struct iommu_domain *d, struct refusal *r);
void amdvi_quiet(uint16_t bdf);
bool amdvi_msi(uint16_t bdf, unsigned index, uint32_t apic_id, uint8_t vector, uint64_t *address,
	       uint32_t *data);
bool amdvi_pin(uint8_t id, unsigned pin, uint32_t apic_id, uint8_t vector, bool level,
	       uint64_t *entry);

/* --- amdvi_command.c; all wait for the unit; false: it does not answer --- */

/* Sets the buffer up; the unit must not run. */
void amdvi_commands_init(struct amdvi_unit *u);
/* Everything that the unit has cached. */
bool amdvi_flush_all(struct amdvi_unit *u);
/* A device's entry and interrupts, and what two domains (0: none) have cached. */
bool amdvi_flush_device(struct amdvi_unit *u, uint16_t bdf, uint16_t one, uint16_t two);
bool amdvi_flush_interrupts(struct amdvi_unit *u, uint16_t bdf);

/* --- amdvi_table.c: formats --- */

extern const struct npt_format amdvi_npt_format;
/* d NULL: everything is blocked. */
uint64_t amdvi_translation(const struct iommu_domain *d);
/* interrupts: a table of 1 << length entries. */
uint64_t amdvi_interrupts(enum amdvi_int_control control, hpa_t table, unsigned length);
uint32_t amdvi_remap_entry(uint32_t apic_id, uint8_t vector);

/* --- amdvi_event.c --- */

void amdvi_events_init(struct amdvi_unit *u);
bool amdvi_take_event(struct amdvi_unit *u, struct iommu_fault *f);
/* The unit's own interrupt, by the MSI capability of its PCI function. */
void amdvi_event_route(struct amdvi_unit *u, uint32_t apic_id, uint8_t vector);

/* --- amdvi_pin.c: interrupts of I/O APIC pins --- */

bool amdvi_pins_init(const struct ivrs_info *v, const struct acpi_info *a, struct refusal *r);
/* Every I/O APIC of the MADT is listed. */
bool amdvi_pins_known(const struct ivrs_info *v, const struct acpi_info *a);
/* The n-th I/O APIC's requester and table; false: there are no more. */
bool amdvi_pins_table(unsigned n, uint16_t *bdf, hpa_t *table, unsigned *length);
/* Enters what a pin shall raise; tells the redirection entry and the requester. */
bool amdvi_pin_set(uint8_t id, unsigned pin, uint32_t apic_id, uint8_t vector, bool level,
		   uint64_t *entry, uint16_t *bdf);
