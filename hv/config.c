/*
 * The configuration's table: every section and key, with its type, range, default and help text.
 *
 * The parser, the range checks, the canonical dump and the reference in docs/ all read this table,
 * so a new key is a line here and a field in config.h. No state.
 */
#include "hv/config_table.h"
#include "hv/lib/printf.h"
#include "hv/lib/string.h"

const struct config_type_text config_type_text[CONFIG_TYPES] = {
	[TYPE_WORD] = {"a choice", NULL},
	[TYPE_YES] = {"a choice", NULL},
	[TYPE_SIZE] = {"a size", "a number of bytes, or with K, M or G, such as 512M"},
	[TYPE_ADDRESS] = {"an address", "a number such as 0x7c00"},
	[TYPE_PORT] = {"a port", "a number such as 0xf4"},
	[TYPE_STRING] = {"text",
			 "text, in quotes when it holds a # or begins or ends with a blank"},
	[TYPE_FILE] = {"a file name", "letters, digits and . _ - + ~ / such as bzImage"},
	[TYPE_MODULE] = {"a file name and arguments", "such as: tool.elf --fast"},
	[TYPE_CPUS] = {"a CPU", "numbers and ranges such as 0,2-3"},
	[TYPE_PORTS] = {"a range of ports", "such as 0x2f8-0x2ff, 0x2f8+8, or one port 0x378"},
	[TYPE_MMIO] = {"a range of addresses", "such as 0xfed00000+4K or 0xfed00000-0xfed00fff"},
	[TYPE_PCI] = {"a PCI function", "bus:device.function in hex, such as 00:1f.2, or with its interrupt 00:1f.2 gsi 18"},
	[TYPE_CONSOLE] = {"a console",
			  "com1 to com4, a UART's first port such as 0x3f8, framebuffer, or none"},
};

static const char *const end_words[] = {"poweroff", "reboot", "halt", NULL};
static const char *const yes_words[] = {"no", "yes", NULL};
static const char *const tsc_words[] = {"check", "trust", NULL};
static const char *const dma_words[] = {"remapped", "unsafe-identity", NULL};
static const char *const dma_fault_words[] = {"report", "stop", NULL};
static const char *const again_words[] = {"restart", "stop", NULL};
static const char *const serial_words[] = {"none", "com1", "com2", "com3", "com4", NULL};

/* Words are stored as their index; config.h orders the enums the same way. */
_Static_assert(sizeof(enum config_end) == sizeof(unsigned), "enums are stored as unsigned");
_Static_assert(CONFIG_HALT == 2 && TSC_TRUST == 1 && DMA_UNSAFE_IDENTITY == 1 &&
		       DMA_FAULT_STOP == 1 && CONFIG_STOP == 1 && SERIAL_COM4 == 4,
	       "the order of the words");

#define SYSTEM(f) offsetof(struct config_system, f)
#define BOOT(f)	  offsetof(struct config_boot, f)
#define GUEST(f)  offsetof(struct config_guest, f)

enum { LAST_PORT = 0xffff, REAL_MODE_END = 0x100000 };
#define LAST_ADDRESS (BIT(52) - 1) /* the widest physical address there is */

// clang-format off
static const struct config_key system_key[] = {
	{"console", TYPE_CONSOLE, .min = 1, .max = LAST_PORT - CONFIG_SERIAL_PORTS + 1, .room = 4,
	 .fallback = "com1, framebuffer", .field = SYSTEM(console),
	 .help = "Where the log and the guests' serial output go. `framebuffer` is the screen, "
		 "be it in graphics or text mode, and the keyboard. `none` stands alone."},
	{"when-all-stopped", TYPE_WORD, .words = end_words, .fallback = "poweroff",
	 .field = SYSTEM(when_all_stopped),
	 .help = "What the machine does when no guest is left."},
	{"tsc", TYPE_WORD, .words = tsc_words, .fallback = "check", .field = SYSTEM(tsc),
	 .help = "`check` starts no guest when the TSCs of the CPUs do not run together, which "
		 "is measured at boot, or when CPUID does not call them invariant on a machine "
		 "that is not virtual itself. `trust` warns and starts them. Guests see an "
		 "invariant TSC only if the TSCs run together."},
	{"report", TYPE_YES, .words = yes_words, .fallback = "no", .field = SYSTEM(report),
	 .help = "`yes` prints what the machine has before the guests start, and a configuration "
		 "that fits it. The word `report` on Mullion's command line prints the same and "
		 "starts nothing."},
	{"debug-exit", TYPE_PORT, .min = 1, .max = LAST_PORT - CONFIG_DEBUG_EXIT_PORTS + 1,
	 .field = SYSTEM(debug_exit),
	 .help = "For test images: power-off ends QEMU through its isa-debug-exit device at this "
		 "port."},
	{"bochs-shutdown", TYPE_YES, .words = yes_words, .fallback = "no",
	 .field = SYSTEM(bochs_shutdown),
	 .help = "For test images: power-off ends Bochs through its port 0x8900."},
};

static const struct config_key boot_key[] = {
	{"config", TYPE_FILE, .field = BOOT(config), .place = BOOT(config.place),
	 .help = "The configuration to read in place of this one, of which no other line then "
		 "counts. It may not name yet another."},
	{"cmdline", TYPE_STRING, .field = BOOT(cmdline),
	 .help = "The command line of Mullion itself, which its own UEFI loader hands over. GRUB "
		 "does not read this file: with it, the words stand in grub.cfg."},
};

static const struct config_key guest_key[] = {
	{"cpus", TYPE_CPUS, .required = true, .max = MAX_CPUS - 1, .room = MAX_VCPUS,
	 .field = GUEST(cpu), .count = GUEST(cpus), .place = GUEST(cpus_place),
	 .help = "The physical CPUs that belong to the guest, one virtual CPU on each. The first "
		 "is the one that boots. No two guests share a CPU."},
	{"memory", TYPE_SIZE, .required = true, .min = MIB(1), .max = GIB(16384),
	 .field = GUEST(memory), .place = GUEST(memory_place),
	 .help = "The guest's RAM, a multiple of 4K."},
	{"kernel", TYPE_FILE, .required = true, .field = GUEST(kernel),
	 .place = GUEST(kernel.place),
	 .help = "What is started. The kind is found from the file: a Linux bzImage, multiboot 1 "
		 "or 2, an ELF64; or a flat image, see `load`."},
	{"initrd", TYPE_FILE, .field = GUEST(initrd), .place = GUEST(initrd.place),
	 .help = "Linux's initial RAM disk."},
	{"module", TYPE_MODULE, .multiple = true, .room = MAX_MODULES, .field = GUEST(module),
	 .count = GUEST(modules),
	 .help = "A multiboot module: a file, then its arguments."},
	{"cmdline", TYPE_STRING, .field = GUEST(cmdline),
	 .help = "The kernel's command line."},
	{"load", TYPE_ADDRESS, .max = REAL_MODE_END - 1, .with = "entry", .field = GUEST(load),
	 .place = GUEST(load_place), .given = GUEST(flat),
	 .help = "Makes `kernel` a flat image: its bytes are put at this guest-physical address."},
	{"entry", TYPE_ADDRESS, .max = REAL_MODE_END - 1, .with = "load", .field = GUEST(entry),
	 .place = GUEST(entry_place), .given = GUEST(flat),
	 .help = "Where a flat image starts, in real mode: CS is the address / 16, IP the rest."},
	{"serial", TYPE_WORD, .words = serial_words, .fallback = "none", .field = GUEST(serial),
	 .help = "The serial port that the guest finds; it is shown on the console."},
	{"ports", TYPE_PORTS, .multiple = true, .max = LAST_PORT, .room = MAX_GUEST_PORTS,
	 .field = GUEST(port), .count = GUEST(ports),
	 .help = "Physical I/O ports that the guest may use directly."},
	{"mmio", TYPE_MMIO, .multiple = true, .max = LAST_ADDRESS, .room = MAX_GUEST_MMIO,
	 .field = GUEST(mmio), .count = GUEST(mmios),
	 .help = "Physical device memory that the guest sees at the same address, in pages of 4K."},
	{"pci", TYPE_PCI, .multiple = true, .room = MAX_GUEST_PCI, .field = GUEST(pci),
	 .count = GUEST(pcis),
	 .help = "PCI functions that are passed through to the guest. The log of a boot lists "
		 "those of the machine. On bus 0 the guest finds them where the machine has "
		 "them, others as the first free device of its bus 0. `gsi N` behind a function is the "
		 "I/O APIC's input that its INTx drives, for one without MSI whose Interrupt Line "
		 "register does not tell."},
	{"dma", TYPE_WORD, .words = dma_words, .fallback = "remapped", .field = GUEST(dma),
	 .help = "How the guest's PCI functions reach memory. `remapped`: an IOMMU keeps them to "
		 "the guest's RAM; without one, functions that can be bus masters are refused. "
		 "`unsafe-identity`: the guest's RAM from 1 MiB on is put where guest-physical "
		 "and physical addresses are the same, with holes where that RAM is not free, so "
		 "that DMA works without an IOMMU. The functions can then read and write all "
		 "memory of the machine, other guests' and Mullion's too."},
	{"on-dma-fault", TYPE_WORD, .words = dma_fault_words, .fallback = "report",
	 .field = GUEST(on_dma_fault),
	 .help = "What follows when the IOMMU blocks DMA of one of the guest's PCI functions. It "
		 "is told, eight times in a row. `stop` also stops the guest as an error does, and for "
		 "more than eight blocked interrupts within a second, so that `on-crash` says "
		 "what comes next."},
	{"on-crash", TYPE_WORD, .words = again_words, .fallback = "stop", .field = GUEST(on_crash),
	 .help = "What follows a triple fault, or an error for which Mullion stops the guest."},
	{"on-reset", TYPE_WORD, .words = again_words, .fallback = "restart",
	 .field = GUEST(on_reset),
	 .help = "What follows a reset by the guest itself."},
	{"debug-exit", TYPE_PORT, .min = 1, .max = LAST_PORT - CONFIG_DEBUG_EXIT_PORTS + 1,
	 .field = GUEST(debug_exit), .place = GUEST(debug_exit_place),
	 .help = "A write to this port ends the guest with that status, as QEMU's isa-debug-exit "
		 "does; 0 is success."},
};
// clang-format on
_Static_assert(ARRAY_SIZE(guest_key) <= CONFIG_KEYS, "CONFIG_KEYS");

const struct config_section config_section[CONFIG_SECTIONS] = {
	[SECTION_SYSTEM] = {"system", false, system_key, ARRAY_SIZE(system_key),
			    "The machine. May be left out."},
	[SECTION_BOOT] = {"boot", false, boot_key, ARRAY_SIZE(boot_key),
			  "How Mullion itself is started. May be left out."},
	[SECTION_GUEST] = {"guest", true, guest_key, ARRAY_SIZE(guest_key),
			   "One partition. The name shows in messages and on the console."},
};

uint16_t config_serial_port(enum config_serial s)
{
	static const uint16_t port[] = {0, 0x3f8, 0x2f8, 0x3e8, 0x2e8};

	return s < ARRAY_SIZE(port) ? port[s] : 0;
}

const char *config_file_base(const char *name)
{
	const char *base = name;

	for (; *name; name++) {
		if (*name == '/') {
			base = name + 1;
		}
	}
	return base;
}

const struct config_file *config_file_at(const struct config_guest *g, unsigned n)
{
	if (n == 0) {
		return &g->kernel;
	}
	n--;
	if (g->initrd.name[0]) {
		if (n == 0) {
			return &g->initrd;
		}
		n--;
	}
	return n < g->modules ? &g->module[n] : NULL;
}

const char *config_key_how(struct config_how *h, const struct config_key *k)
{
	if (!k->words) {
		return config_type_text[k->type].how;
	}
	fmt_print(h->text, sizeof(h->text), "one of");
	for (unsigned i = 0; k->words[i]; i++) {
		fmt_append(h->text, sizeof(h->text), "%s %s", i ? "," : "", k->words[i]);
	}
	return h->text;
}

void config_cpus_append(char *text, size_t size, const uint16_t *cpu, unsigned cpus)
{
	for (unsigned i = 0; i < cpus; i++) {
		unsigned first = i;

		while (i + 1 < cpus && cpu[i + 1] == cpu[i] + 1) {
			i++;
		}
		fmt_append(text, size, first == i ? "%s%u" : "%s%u-%u", first ? "," : "",
			   cpu[first], cpu[i]);
	}
}

const char *config_size_text(struct config_size *s, uint64_t bytes)
{
	static const char unit[] = "KMG";
	unsigned u = 0;

	while (u < 3 && bytes && bytes % 1024 == 0) {
		bytes /= 1024;
		u++;
	}
	fmt_print(s->text, sizeof(s->text), "%lu%.*s", bytes, u ? 1 : 0, u ? &unit[u - 1] : "");
	return s->text;
}

bool config_refuse(struct refusal *r, const struct config *c, struct config_place at,
		   const char *fmt, ...)
{
	char what[sizeof(r->text)];
	va_list ap;

	va_start(ap, fmt);
	fmt_vprint(what, sizeof(what), fmt, ap);
	va_end(ap);
	return refuse(r, "%s:%u:%u: error: %s", c->file, at.line, at.col, what);
}
