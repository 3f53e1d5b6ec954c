/*
 * What a guest's PC has, in ACPI's words. The devices themselves are in hv/vdev/.
 *
 * acpi_guest.c patches SPRT and SIRQ in the compiled bytes for each guest; everything else is the
 * same for all.
 */
DefinitionBlock ("dsdt.aml", "DSDT", 2, "MULLN ", "MULLION ", 0x00000001)
{
    // Power-off: the value of SLP_TYP that vpm.c takes for S5. No other sleep state exists.
    Name (\_S5, Package (0x04) { 0x05, 0x05, Zero, Zero })

    // The UART's port (0: none) and IRQ. The odd values make iasl keep a word and a byte.
    Name (\SPRT, 0xA55A)
    Name (\SIRQ, 0x5A)

    // Which interrupt model the guest has chosen: 0 the 8259s, 1 the I/O APIC.
    Name (\PICM, Zero)
    Method (\_PIC, 1, NotSerialized)
    {
        PICM = Arg0
    }

    Scope (\_SB)
    {
        // Pin n of device d is GSI 16 + (d + n) % 8, as hv/passthrough.h has it.
        Name (PRTA, Package ()
        {
            Package (0x04) { 0x0001FFFF, Zero, Zero, 0x11 },
            Package (0x04) { 0x0001FFFF, One, Zero, 0x12 },
            Package (0x04) { 0x0001FFFF, 0x02, Zero, 0x13 },
            Package (0x04) { 0x0001FFFF, 0x03, Zero, 0x14 },
            Package (0x04) { 0x0002FFFF, Zero, Zero, 0x12 },
            Package (0x04) { 0x0002FFFF, One, Zero, 0x13 },
            Package (0x04) { 0x0002FFFF, 0x02, Zero, 0x14 },
            Package (0x04) { 0x0002FFFF, 0x03, Zero, 0x15 },
            Package (0x04) { 0x0003FFFF, Zero, Zero, 0x13 },
            Package (0x04) { 0x0003FFFF, One, Zero, 0x14 },
            Package (0x04) { 0x0003FFFF, 0x02, Zero, 0x15 },
            Package (0x04) { 0x0003FFFF, 0x03, Zero, 0x16 },
            Package (0x04) { 0x0004FFFF, Zero, Zero, 0x14 },
            Package (0x04) { 0x0004FFFF, One, Zero, 0x15 },
            Package (0x04) { 0x0004FFFF, 0x02, Zero, 0x16 },
            Package (0x04) { 0x0004FFFF, 0x03, Zero, 0x17 },
            Package (0x04) { 0x0005FFFF, Zero, Zero, 0x15 },
            Package (0x04) { 0x0005FFFF, One, Zero, 0x16 },
            Package (0x04) { 0x0005FFFF, 0x02, Zero, 0x17 },
            Package (0x04) { 0x0005FFFF, 0x03, Zero, 0x10 },
            Package (0x04) { 0x0006FFFF, Zero, Zero, 0x16 },
            Package (0x04) { 0x0006FFFF, One, Zero, 0x17 },
            Package (0x04) { 0x0006FFFF, 0x02, Zero, 0x10 },
            Package (0x04) { 0x0006FFFF, 0x03, Zero, 0x11 },
            Package (0x04) { 0x0007FFFF, Zero, Zero, 0x17 },
            Package (0x04) { 0x0007FFFF, One, Zero, 0x10 },
            Package (0x04) { 0x0007FFFF, 0x02, Zero, 0x11 },
            Package (0x04) { 0x0007FFFF, 0x03, Zero, 0x12 },
            Package (0x04) { 0x0008FFFF, Zero, Zero, 0x10 },
            Package (0x04) { 0x0008FFFF, One, Zero, 0x11 },
            Package (0x04) { 0x0008FFFF, 0x02, Zero, 0x12 },
            Package (0x04) { 0x0008FFFF, 0x03, Zero, 0x13 },
            Package (0x04) { 0x0009FFFF, Zero, Zero, 0x11 },
            Package (0x04) { 0x0009FFFF, One, Zero, 0x12 },
            Package (0x04) { 0x0009FFFF, 0x02, Zero, 0x13 },
            Package (0x04) { 0x0009FFFF, 0x03, Zero, 0x14 },
            Package (0x04) { 0x000AFFFF, Zero, Zero, 0x12 },
            Package (0x04) { 0x000AFFFF, One, Zero, 0x13 },
            Package (0x04) { 0x000AFFFF, 0x02, Zero, 0x14 },
            Package (0x04) { 0x000AFFFF, 0x03, Zero, 0x15 },
            Package (0x04) { 0x000BFFFF, Zero, Zero, 0x13 },
            Package (0x04) { 0x000BFFFF, One, Zero, 0x14 },
            Package (0x04) { 0x000BFFFF, 0x02, Zero, 0x15 },
            Package (0x04) { 0x000BFFFF, 0x03, Zero, 0x16 },
            Package (0x04) { 0x000CFFFF, Zero, Zero, 0x14 },
            Package (0x04) { 0x000CFFFF, One, Zero, 0x15 },
            Package (0x04) { 0x000CFFFF, 0x02, Zero, 0x16 },
            Package (0x04) { 0x000CFFFF, 0x03, Zero, 0x17 },
            Package (0x04) { 0x000DFFFF, Zero, Zero, 0x15 },
            Package (0x04) { 0x000DFFFF, One, Zero, 0x16 },
            Package (0x04) { 0x000DFFFF, 0x02, Zero, 0x17 },
            Package (0x04) { 0x000DFFFF, 0x03, Zero, 0x10 },
            Package (0x04) { 0x000EFFFF, Zero, Zero, 0x16 },
            Package (0x04) { 0x000EFFFF, One, Zero, 0x17 },
            Package (0x04) { 0x000EFFFF, 0x02, Zero, 0x10 },
            Package (0x04) { 0x000EFFFF, 0x03, Zero, 0x11 },
            Package (0x04) { 0x000FFFFF, Zero, Zero, 0x17 },
            Package (0x04) { 0x000FFFFF, One, Zero, 0x10 },
            Package (0x04) { 0x000FFFFF, 0x02, Zero, 0x11 },
            Package (0x04) { 0x000FFFFF, 0x03, Zero, 0x12 },
            Package (0x04) { 0x0010FFFF, Zero, Zero, 0x10 },
            Package (0x04) { 0x0010FFFF, One, Zero, 0x11 },
            Package (0x04) { 0x0010FFFF, 0x02, Zero, 0x12 },
            Package (0x04) { 0x0010FFFF, 0x03, Zero, 0x13 },
            Package (0x04) { 0x0011FFFF, Zero, Zero, 0x11 },
            Package (0x04) { 0x0011FFFF, One, Zero, 0x12 },
            Package (0x04) { 0x0011FFFF, 0x02, Zero, 0x13 },
            Package (0x04) { 0x0011FFFF, 0x03, Zero, 0x14 },
            Package (0x04) { 0x0012FFFF, Zero, Zero, 0x12 },
            Package (0x04) { 0x0012FFFF, One, Zero, 0x13 },
            Package (0x04) { 0x0012FFFF, 0x02, Zero, 0x14 },
            Package (0x04) { 0x0012FFFF, 0x03, Zero, 0x15 },
            Package (0x04) { 0x0013FFFF, Zero, Zero, 0x13 },
            Package (0x04) { 0x0013FFFF, One, Zero, 0x14 },
            Package (0x04) { 0x0013FFFF, 0x02, Zero, 0x15 },
            Package (0x04) { 0x0013FFFF, 0x03, Zero, 0x16 },
            Package (0x04) { 0x0014FFFF, Zero, Zero, 0x14 },
            Package (0x04) { 0x0014FFFF, One, Zero, 0x15 },
            Package (0x04) { 0x0014FFFF, 0x02, Zero, 0x16 },
            Package (0x04) { 0x0014FFFF, 0x03, Zero, 0x17 },
            Package (0x04) { 0x0015FFFF, Zero, Zero, 0x15 },
            Package (0x04) { 0x0015FFFF, One, Zero, 0x16 },
            Package (0x04) { 0x0015FFFF, 0x02, Zero, 0x17 },
            Package (0x04) { 0x0015FFFF, 0x03, Zero, 0x10 },
            Package (0x04) { 0x0016FFFF, Zero, Zero, 0x16 },
            Package (0x04) { 0x0016FFFF, One, Zero, 0x17 },
            Package (0x04) { 0x0016FFFF, 0x02, Zero, 0x10 },
            Package (0x04) { 0x0016FFFF, 0x03, Zero, 0x11 },
            Package (0x04) { 0x0017FFFF, Zero, Zero, 0x17 },
            Package (0x04) { 0x0017FFFF, One, Zero, 0x10 },
            Package (0x04) { 0x0017FFFF, 0x02, Zero, 0x11 },
            Package (0x04) { 0x0017FFFF, 0x03, Zero, 0x12 },
            Package (0x04) { 0x0018FFFF, Zero, Zero, 0x10 },
            Package (0x04) { 0x0018FFFF, One, Zero, 0x11 },
            Package (0x04) { 0x0018FFFF, 0x02, Zero, 0x12 },
            Package (0x04) { 0x0018FFFF, 0x03, Zero, 0x13 },
            Package (0x04) { 0x0019FFFF, Zero, Zero, 0x11 },
            Package (0x04) { 0x0019FFFF, One, Zero, 0x12 },
            Package (0x04) { 0x0019FFFF, 0x02, Zero, 0x13 },
            Package (0x04) { 0x0019FFFF, 0x03, Zero, 0x14 },
            Package (0x04) { 0x001AFFFF, Zero, Zero, 0x12 },
            Package (0x04) { 0x001AFFFF, One, Zero, 0x13 },
            Package (0x04) { 0x001AFFFF, 0x02, Zero, 0x14 },
            Package (0x04) { 0x001AFFFF, 0x03, Zero, 0x15 },
            Package (0x04) { 0x001BFFFF, Zero, Zero, 0x13 },
            Package (0x04) { 0x001BFFFF, One, Zero, 0x14 },
            Package (0x04) { 0x001BFFFF, 0x02, Zero, 0x15 },
            Package (0x04) { 0x001BFFFF, 0x03, Zero, 0x16 },
            Package (0x04) { 0x001CFFFF, Zero, Zero, 0x14 },
            Package (0x04) { 0x001CFFFF, One, Zero, 0x15 },
            Package (0x04) { 0x001CFFFF, 0x02, Zero, 0x16 },
            Package (0x04) { 0x001CFFFF, 0x03, Zero, 0x17 },
            Package (0x04) { 0x001DFFFF, Zero, Zero, 0x15 },
            Package (0x04) { 0x001DFFFF, One, Zero, 0x16 },
            Package (0x04) { 0x001DFFFF, 0x02, Zero, 0x17 },
            Package (0x04) { 0x001DFFFF, 0x03, Zero, 0x10 },
            Package (0x04) { 0x001EFFFF, Zero, Zero, 0x16 },
            Package (0x04) { 0x001EFFFF, One, Zero, 0x17 },
            Package (0x04) { 0x001EFFFF, 0x02, Zero, 0x10 },
            Package (0x04) { 0x001EFFFF, 0x03, Zero, 0x11 },
            Package (0x04) { 0x001FFFFF, Zero, Zero, 0x17 },
            Package (0x04) { 0x001FFFFF, One, Zero, 0x10 },
            Package (0x04) { 0x001FFFFF, 0x02, Zero, 0x11 },
            Package (0x04) { 0x001FFFFF, 0x03, Zero, 0x12 }
        })

        // A plain PCI bridge: a PCIe one would ask the guest to negotiate _OSC for nothing.
        Device (PCI0)
        {
            Name (_HID, EisaId ("PNP0A03"))
            Name (_UID, Zero)
            Name (_BBN, Zero)
            // With the 8259s, the Interrupt Line registers say it.
            Method (_PRT, 0, NotSerialized)
            {
                If (PICM)
                {
                    Return (PRTA)
                }
                Return (Package () {})
            }

            Name (_CRS, ResourceTemplate ()
            {
                WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode,
                    0x0000, 0x0000, 0x0000, 0x0000, 0x0001)
                WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
                    0x0000, 0x0000, 0x0CF7, 0x0000, 0x0CF8)
                IO (Decode16, 0x0CF8, 0x0CF8, 0x01, 0x08)
                WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
                    0x0000, 0x0D00, 0xFFFF, 0x0000, 0xF300)
                // From where low RAM ends at most up to the I/O APIC, without the ECAM.
                DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable,
                    ReadWrite, 0x00000000, 0xC0000000, 0xDFFFFFFF, 0x00000000, 0x20000000)
                DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable,
                    ReadWrite, 0x00000000, 0xE0100000, 0xFEBFFFFF, 0x00000000, 0x1EB00000)
            })

            Device (PIC)
            {
                Name (_HID, EisaId ("PNP0000"))
                Name (_CRS, ResourceTemplate ()
                {
                    IO (Decode16, 0x0020, 0x0020, 0x01, 0x02)
                    IO (Decode16, 0x00A0, 0x00A0, 0x01, 0x02)
                    IO (Decode16, 0x04D0, 0x04D0, 0x01, 0x02)
                    IRQNoFlags () {2}
                })
            }

            Device (PIT)
            {
                Name (_HID, EisaId ("PNP0100"))
                Name (_CRS, ResourceTemplate ()
                {
                    IO (Decode16, 0x0040, 0x0040, 0x01, 0x04)
                    IRQNoFlags () {0}
                })
            }

            Device (RTC)
            {
                Name (_HID, EisaId ("PNP0B00"))
                Name (_CRS, ResourceTemplate ()
                {
                    IO (Decode16, 0x0070, 0x0070, 0x01, 0x02)
                    IRQNoFlags () {8}
                })
            }

            Device (UAR1)
            {
                Name (_HID, EisaId ("PNP0501"))
                Name (_UID, One)
                Method (_STA, 0, NotSerialized)
                {
                    If (SPRT)
                    {
                        Return (0x0F)
                    }
                    Return (Zero)
                }

                Method (_CRS, 0, Serialized)
                {
                    Name (RBUF, ResourceTemplate ()
                    {
                        IO (Decode16, 0x0000, 0x0000, 0x01, 0x08, UIO)
                        IRQNoFlags (UIRQ) {4}
                    })
                    CreateWordField (RBUF, UIO._MIN, PMIN)
                    CreateWordField (RBUF, UIO._MAX, PMAX)
                    CreateWordField (RBUF, UIRQ._INT, MASK)
                    PMIN = SPRT
                    PMAX = SPRT
                    MASK = One << SIRQ
                    Return (RBUF)
                }
            }
        }

        // What is decoded but belongs to no device: power management, ECAM, APICs.
        Device (MBRD)
        {
            Name (_HID, EisaId ("PNP0C02"))
            Name (_UID, One)
            Name (_CRS, ResourceTemplate ()
            {
                IO (Decode16, 0x0061, 0x0061, 0x01, 0x01)
                IO (Decode16, 0x0080, 0x0080, 0x01, 0x01)
                IO (Decode16, 0x0092, 0x0092, 0x01, 0x01)
                IO (Decode16, 0x0600, 0x0600, 0x01, 0x0C)
                Memory32Fixed (ReadWrite, 0xE0000000, 0x00100000)
                Memory32Fixed (ReadWrite, 0xFEC00000, 0x00001000)
                Memory32Fixed (ReadWrite, 0xFEE00000, 0x00001000)
            })
        }
    }
}
