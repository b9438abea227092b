"""Templates of the sentences that the name detector is trained on, in the words of many kinds of documents.

`{person}`, `{first}`, `{last}`, `{place}`, `{country}`, `{address}` and `{org}` are what is learned; every other slot is
filler that is no name. All sentences are written for this project; nothing is taken from a corpus.
"""

from __future__ import annotations

from typing import Final

LETTERS: Final = """
Dear {person},\\n\\nthank you for your letter of {date}.\\n\\nKind regards,\\n{person}\\n{role}, {org}
Hi {first},\\n\\ncan you send me the {thing} before {day}? {first} from {org} keeps asking.\\n\\nThanks\\n{first}
Hello {first}, the {thing} is ready. Best, {first}
Dear Mr {last}, your appointment at our {place} branch is on {date}.
Dear Ms. {last},\\nwe regret that the {thing} was sent to {address} by mistake.
From: {person} <{email}>\\nTo: {person} <{email}>\\nSubject: {thing}
From: {person}\\nSent: {date}\\nTo: {person}; {person}\\nCc: {person}\\nSubject: Re: {thing}
{first} wrote on {date}:\\n> I spoke with {person} about the {thing}.
{person} asked me to forward this to {person}.
Please copy in {person}, {person} and {person} from now on.
Regards,\\n{person}
Sincerely,\\n\\n{person}\\n{org}\\n{address}
Could you let {first} know that {first} is away until {day}?
{person} (cc'd) will take over from me while I am on leave.
Sorry for the delay, {first}. I was in {place} for the {thing} all week.
Please deliver it to {person}, {address}.
My new address is {address}. Please update your records.
We moved from {place} to {place} in {month}.
Yours faithfully\\n{person}\\nHead of {team}, {org}
As discussed with {first} and {first} this morning, {org} will not renew.
""".strip().split("\n")

FORMS: Final = """
Name: {person}\\nAddress: {address}\\nPhone: {phone}\\nEmployer: {org}
Full name: {person}\\nPlace of birth: {place}, {country}\\nDate of birth: {date}
Customer: {person}, Account {num}, Branch {place}
Patient {person} was admitted on {date} by Dr. {last}.
Applicant: {person} | Position: {role} | Location: {place}
Employee {person}, {role}, {team}, joined {date}.
Bill to: {org}, {address}
Ship to: {person}\\n{address}
Emergency contact: {person} ({phone})
Claimant: {person}. Respondent: {org}. Hearing at {place} on {date}.
Witness: {person}\\nSigned at {place} this {day}.
Guest: {person}, arriving from {place}, room {num}
Passenger {person}, {place} to {place}, seat {code}
{person},{num},{place},{date},{org}
{num};{last};{first};{place};{country}
| {person} | {role} | {place} |
| {num} | {person} | {org} | {date} |
- {person} ({role})\\n- {person} ({role})\\n- {person} ({role})
1. {person}, {org}\\n2. {person}, {org}\\n3. {person}, {org}
Attendees: {person}, {person}, {person}. Apologies: {person}.
Present: {first}, {first}, {first} and {first}. Minutes: {first}.
Action: {first} to send the {thing} by {day}. Owner: {person}
Reviewed by {person} on {date}. Approved by {person}.
Author: {person}\\nVersion: {code}\\nStatus: {word}
Assigned to {person}; reported by {person}; priority {word}.
Contact {person} at {email} or {phone}.
Beneficiary {person}, {org}, {address}
Supplier: {org}\\nCountry: {country}\\nContact: {person}
Vendor {org} ({place}) invoiced {amount} on {date}.
Account holder {person}; bank {org}; opened in {place}.
""".strip().split("\n")

NEWS: Final = """
{person}, the {role} of {org}, said on {day} that the {thing} would be cut.
{org} said it would open a {noun} in {place} next year.
{place} - {org} announced on {day} that {person} will step down as {role}.
Shares in {org} fell by {num} percent after {person} resigned.
{org} and {org} agreed to merge, the companies said in {place} on {day}.
{person} beat {person} in straight sets to reach the final in {place}.
{org} bought {org} from {org} for {amount}.
Officials in {country} blamed {country} for the {noun} near {place}.
The president of {country}, {person}, arrived in {place} for talks with {person}.
{person} was born in {place}, {country}, in {year} and studied at {org}.
{person} ({year} - {year}) was a {noun} from {place}.
After the war {last} returned to {place}, where he wrote about the {noun}.
{last} and {last} scored as {org} beat {org} {num}-{num} in {place}.
{place} {num} {place} {num}
The river runs from {place} through {place} to the sea near {place}.
In {year} {org} moved its head office from {place} to {place}.
The {noun} was designed by {person} and built by {org} in {year}.
A court in {place} sentenced {person}, a former {role} at {org}, to {num} years.
{country} and {country} signed a treaty about the {noun} in {place}.
Police in {place} are looking for {person}, who was last seen near {address}.
The film stars {person} and {person} and was shot in {place}.
{person} joined {org} from {org} in {month}.
{org}, based in {place}, employs {num} people in {country} and {country}.
"We did not expect this," said {person} of {org}.
"It is a good day for {country}," {last} told reporters in {place}.
According to {person}, {org} ignored the {noun} for years.
Tourists from {country} like {place} better than {place}.
The population of {place} was {num} in {year}.
{person} of {country} won the {noun} ahead of {person} ({country}) and {person} ({country}).
{org} manager {person} praised {last} after the match.
The {noun} spread from {place} to {place} and then to all of {country}.
{place}, {country}, is known for its {noun}.
""".strip().split("\n")

OFFICE: Final = """
{person} reports to {person} in the {team}.
{first} is on holiday until {day}; {first} covers the {thing}.
Interview with {person} for the post of {role}, notes by {first}.
{person} received a written warning on {date} for being late to the {noun}.
The contract between {org} and {org} ends on {date}.
{org} (the "Supplier") shall provide the {thing} to {org} (the "Customer").
This agreement is governed by the laws of {country}; the courts of {place} have jurisdiction.
{person} complained that {last} had read the {thing} without asking.
Ask {first} in {place} or {first} in {team}.
The {thing} was prepared for {org} by {person} of {org}.
{first} thinks the {thing} is fine, {first} does not.
Thanks to {person} for the review and to {first} for the figures.
Escalate to {person} ({phone}) if the {noun} fails again.
{person} approved {amount} for the {thing} in {place}.
Our offices in {place}, {place} and {place} close at {num}.
New joiners this month: {person} ({place}), {person} ({place}), {person} ({place}).
{last}'s team moved to {place}.
Meet {person} at {org} on {day} at {num}.
{person} and {person} share the {noun} in {place}.
Ticket {code}: {person} cannot log in to the {thing}.
{person} transferred {amount} to {person} at {org}.
The audit by {org} found that {person} had kept copies of the {thing}.
{first}, please check the {noun} in {place}.
I talked to {first} yesterday. She works for {org} now.
he said his name was {person} and that he lives in {place}
who is {person} and when did they join {org}?
what did {first} say about the {thing}?
where in {country} is {place}?
does {org} have an office in {place}?
i was charged twice by {org}, my name is {person}
can i fly from {place} to {place} with {org}?
my husband {first} and i live at {address}
I am {person}, I live in {place} and I lost my {noun}.
call {first} {last} back about the {thing}
{person} - {role}, {org}
{person} | {role} | {org} | {place}
{org}: {thing} for {person}
{place}: {num} degrees, {word}
@{first} could you look at the {thing}?
{person} left a comment: the {thing} looks {word}.
I used to work for {org} as a {role} before {org} hired me.
The driver, {person}, drove from {place} to {place} without a {noun}.
{person}'s {noun} was stolen in {place} on {date}.
{first} and {first} {last} have two children, {first} and {first}.
Send the {thing} to {address}.
The flat at {address} is rented to {person}.
We visited {address} on {date} and met {person}.
Directions: take the {noun} to {place}, then walk to {address}.
Mail everything to {org}, {address}.
{org} has opened at {address}.
""".strip().split("\n")

PLAIN: Final = """
The {thing} was approved on {date} and costs {amount}.
Our {team} will update the {thing} by {day}.
See the {title} for details on the {noun}.
The {title} applies from {date} to all staff.
Chapter {num}: {title}
{title}\\n\\nThe {noun} must be checked every {day}.
Each {noun} has a {noun} and a {noun}, see section {num}.
Error {code}: the {noun} could not be found. Restart the {thing}.
If the {noun} is {word}, the {role} decides whether the {thing} continues.
Version {code} of the {product} fixes the {noun}.
{product} stores every {noun} in the {thing}; see {title}.
On {day} the {team} met to discuss the {thing}. No decision was made.
Budget: {amount}. Spent so far: {amount}. Remaining: {num} %.
Please restart {product} and try the {noun} again.
The {role} asks the {role} to sign the {thing}.
We paid {amount} in {month} and {amount} in {month}.
NOTE: Do not open the {noun} before {day}.
To install {product}, run the {noun} twice and check the {title}.
Yes, the {noun} is {word}. No, the {thing} is not.
Order number {num}, reference {code}, due {date}.
{title}: {title}
The {word} {noun} was {word}, but the {noun} was not.
Monday and Tuesday are {word}; Friday is not.
Why is the {noun} {word}? Because the {thing} was late.
Employees may carry over {num} days of leave until {month}.
Call {phone} or write to {email} about the {thing}.
How many days of {noun} do I have left?
Step {num}: press the {noun}. Step {num}: wait for the {noun}.
{word} {noun} {num} {noun} {code}
The card ending in {num} was declined on {date}.
This {title} describes how {product} handles a {noun}.
Unlike {product}, {product} does not support the {noun}.
The Index Owner, the Policy Store and the Audit Log run in one process.
Add the {noun} to the {title}, then call Update on the {noun}.
Use NotFoundError when the {noun} is missing and ValueError when it is {word}.
Status: {word}\nType: Standards Track\nCreated: {date}\nPython-Version: {num}
Press Enter, choose Settings, then Network and Security, and click Save.
Breakfast, Lunch and Dinner are included; Parking is not.
Monthly Leave Balance: {num}. Sick Leave: {num}. Carry Over: {num}.
English, French and German manuals are in the {thing}.
The Supplier shall inform the Customer of every Incident within {num} hours.
Section {num}.{num} Confidential Information means the {thing} and the {noun}.
Bring your ID Card, a Pen and the signed {title}.
""".strip().split("\n")

ROLES: Final = """
chief executive|finance director|engineer|nurse|sales manager|data analyst|head of research|spokesman|lawyer|teacher|
minister|chairwoman|clerk|architect|editor|plant manager|treasurer|warehouse worker|consultant|product owner|auditor|
surgeon|security officer|buyer|team lead|intern|managing director|professor|secretary|coach
""".replace("\n", "").split("|")

THINGS: Final = """
travel policy|draft contract|quarterly report|budget|invoice|slide deck|test results|onboarding plan|migration plan|
expense claim|risk register|price list|survey|roadmap|signed form|network diagram|release notes|payroll file|shift plan|
insurance claim|incident report|training material|purchase order|account statement|press release|backup job|mailing list
""".replace("\n", "").split("|")

NOUNS: Final = """
bridge|factory|valve|password|laptop|festival|strike|storm|wallet|licence|sensor|harbour|museum|election|vaccine|passport|
printer|warehouse|key|battery|queue|index|token|parser|module|function|table|column|record|meeting|train|bus|castle|
painter|poet|footballer|chemist|wine|cheese|cathedral|server|firewall|pump|contract|court case|fever|coffee machine|menu|
object|class|string|argument|exception|iterator|statement|expression|attribute|method|loop|value|type|file|path|bicycle
""".replace("\n", "").split("|")

WORDS: Final = """
open|late|high|low|urgent|closed|blue|broken|empty|full|slow|ready|unclear|cloudy|sunny|valid|optional|deprecated|cheap|
draft|final|pending|internal|missing|duplicate|quiet|heavy|green|public|strict|interesting|difficult|new|old
""".replace("\n", "").split("|")

TITLES: Final = """
Travel Policy|Code of Conduct|Annual Report|Incident Response Plan|Employee Handbook|Quick Start Guide|Release Notes|
Frequently Asked Questions|Terms and Conditions|Data Retention Schedule|Project Charter|Service Level Agreement|
Health and Safety|Parental Leave|Table of Contents|Executive Summary|Known Issues|Next Steps|Working From Home|
Information Security Policy|Board Minutes|Product Roadmap|Change Request|Risk Assessment|Disaster Recovery|User Manual|
Abstract|Introduction|Rationale|Specification|Backwards Compatibility|Open Questions|References|Copyright|Appendix A|
Return to Work|Equal Opportunities|Purchase Order|Statement of Work|Meeting Notes|Performance Review|Unit Tests
""".replace("\n", "").split("|")

PRODUCTS: Final = """
Python|Excel|Windows|Android|Linux|Kubernetes|PostgreSQL|Qdrant|Casbin|Chrome|Word|Outlook|Git|Docker|Java|Unicode|JSON|
HTTP|SQL|Ledger Pro|Atlas Console|Falcon Gateway|DataHub|Sensor Kit 4|Model X2|Thermo Control|Payroll Suite|Mail Relay|
Orion Dashboard|Delta Sync|Phoenix Release|Blue Book|Emacs|Vim|Bash|CPython|Jython|LaTeX|Markdown|Bluetooth|Wi-Fi
""".replace("\n", "").split("|")

TEAMS: Final = """
finance team|HR department|Human Resources|Legal|IT support|Engineering|Procurement|Marketing|Facilities|Quality Assurance|
Customer Service|Sales Operations|Internal Audit|Research and Development|Treasury|Compliance|the lab|the night shift
""".replace("\n", "").split("|")

ORG_FIELDS: Final = """
Software|Systems|Logistics|Foods|Energy|Motors|Pharma|Textiles|Steel|Media|Insurance|Bank|Airlines|Consulting|Robotics|
Semiconductors|Shipping|Mining|Electric|Chemicals|Analytics|Health|Hospital|University|College|Institute|Foundation|
Museum|Orchestra|Council|Authority|Agency|Association|Union|Brewery|Records|Studios|Press|Times|Post|Daily News|United|
City|Rovers|FC|Athletic|Labs|Technologies|Solutions|Services|Capital|Holdings|Partners|Ventures|Networks|Security
""".replace("\n", "").split("|")

ORG_ENDINGS: Final = """
Inc|Inc.|Ltd|Ltd.|LLC|GmbH|AG|S.A.|SpA|Corp|Corp.|Corporation|Group|plc|Co.|& Co|BV|AB|Oy|and Sons|Bros|Limited|Company
""".replace("\n", "").split("|")

ORG_ADJECTIVES: Final = """
Northern|Blue|Global|First|United|Royal|National|Pacific|Alpine|Bright|Golden|Central|Silver|Modern|Rapid|Green|Clear|
Digital|Atlantic|Summit|Polar|Red|Urban|Smart|Open|Prime|Liberty|General|Advanced|American|British|European|Nordic
""".replace("\n", "").split("|")

ORG_NOUNS: Final = """
Star|Bridge|River|Harbor|Falcon|Stone|Oak|Wave|Point|Field|Light|Path|Horizon|Eagle|Tree|Peak|Gate|Sky|Lion|Anchor|Pixel|
Data|Cloud|Signal|Vector|Orbit|Compass|Beacon|Lantern|Maple|Cedar|Fox|Rail|Forge|Circle|Mosaic|Canvas|Atlas|Nova|Cycle
""".replace("\n", "").split("|")

ORG_BODIES: Final = """
Ministry of Finance|Ministry of Defence|Department of Energy|Supreme Court|World Health Organization|European Commission|
Red Cross|House of Commons|Federal Reserve|United Nations|NATO|UNESCO|FIFA|NASA|FBI|WHO|BBC|CNN|IBM|SAP|BMW|Siemens|Toyota|
Microsoft|Google|Amazon|Oracle|Samsung|Nestle|Unilever|Shell|Boeing|Airbus|Reuters|Sony|Intel|Pfizer|Bayer|Volvo|Ikea|
Labour Party|Green Party|Conservatives|Senate|Parliament|Interpol|World Bank|OPEC|Tesla|Netflix|Spotify|Barclays|HSBC
""".replace("\n", "").split("|")

SYLLABLES: Final = """
zen|dat|vi|tro|lux|mer|ka|nor|so|ri|plex|gen|tel|ona|bri|quo|fin|ver|axi|lum|cor|pay|med|sol|net|byt|cap|nex|alt|ora|ista
""".replace("\n", "").split("|")

COMPASS: Final = (
    "North",
    "South",
    "East",
    "West",
    "New",
    "Lake",
    "Mount",
    "Port",
    "San",
    "Fort",
    "Saint",
)
PLACE_ENDINGS: Final = (
    "ville",
    "ton",
    "burg",
    "field",
    "ford",
    "shire",
    "haven",
    "bridge",
    " Falls",
    " Hills",
    " Bay",
    " Island",
    " Beach",
    " County",
    " Province",
    " Valley",
    " River",
    " Springs",
)
ENGLISH_STREETS: Final = (
    "Street",
    "St",
    "Road",
    "Rd",
    "Avenue",
    "Ave",
    "Lane",
    "Drive",
    "Court",
    "Way",
    "Boulevard",
    "Place",
    "Square",
    "Terrace",
    "Close",
    "Crescent",
    "Highway",
)
