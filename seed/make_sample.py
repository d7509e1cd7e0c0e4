"""Write the sample network: `python seed/make_sample.py [OUT_DIR]` (default: the folder `sample` beside this file).

Seven CSV files in the form that seed/README.md describes: 5 brands, 66 products, 3 tiers, 52 distributors in 4
branches, 45 stores and three months of orders. All names are invented. The same program writes the same bytes on every
machine and Python: every choice is `randrange` of one seeded generator, and money is integers in fen.
"""

import csv
import random
import sys
from bisect import bisect_right
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple, TypeVar

from s2b2c.money import format_yuan

SEED = 20260801
FIRST_DAY = datetime.fromisoformat("2026-08-01")
DAYS = 92
ORDERS = 3500
TIERS = [("province", 1, "省级代理"), ("city", 2, "市级代理"), ("leader", 3, "团长")]

T = TypeVar("T")


class Shares(NamedTuple):
    """Prices of a brand in percent of the suggested price."""

    supply: int
    province: int
    city: int
    leader: int
    floor: int
    ceiling: int


class Product(NamedTuple):
    brand: str
    code: str
    title: str
    category: str
    tags: str
    yuan: int
    options: list[str]
    point: str
    thin: bool


class Variant(NamedTuple):
    """Amounts in fen; `costs` by tier code."""

    product: Product
    sku: str
    options: str
    supply: int
    costs: dict[str, int]
    low: int
    suggested: int
    high: int
    stock: int


class Distributor(NamedTuple):
    code: str
    name: str
    tier: str
    parent: str
    region: str
    joined_on: str
    state: str


class Store(NamedTuple):
    """`pull` is its weight among the stores when an order is drawn; 0 sells nothing."""

    slug: str
    owner: Distributor
    title: str
    theme: str
    pull: int


class Listing(NamedTuple):
    product: Product
    variants: list[Variant]
    price: int
    pitch: str


BRANDS = {
    "绒溪小厨": Shares(48, 58, 64, 71, 85, 115),
    "澄露原述": Shares(30, 42, 50, 58, 80, 120),
    "麦垛山野": Shares(52, 62, 68, 74, 88, 115),
    "檐角日常": Shares(45, 56, 62, 70, 85, 118),
    "雾岭一盏": Shares(38, 50, 57, 65, 82, 125),
}
# What brings customers in and earns next to nothing: here the margin floor of the plan bites.
THIN = Shares(82, 85, 87, 89, 92, 106)

# brand: lines of `code|title|category|tonality|audience|yuan|options|selling point`; `!` marks a thin product.
PRODUCTS = {
    "绒溪小厨": """
RX|鲜肉烘焙猫粮 1.5kg|猫粮|天然|成猫|129|口味=鸡肉;口味=三文鱼;口味=鸭肉|低温烘焙，颗粒酥，挑嘴的猫也肯吃
RX|幼猫奶糕粮 1kg|猫粮|天然,安心|幼猫|89|口味=羊奶;口味=鸡肉|小颗粒一泡就软，断奶期接得上
RX|冻干双拼猫粮 2kg|猫粮|高端|成猫|199|口味=牛肉;口味=兔肉|看得见的整块冻干，不是粉
RX|小型犬鲜肉粮 2kg|狗粮|天然|小型犬|119|口味=牛肉;口味=鸡肉梨|颗粒小，泰迪和比熊嚼得动
RX|大型犬全价粮 10kg|狗粮|实惠|大型犬|269|口味=鸡肉;口味=鱼肉|一袋吃一个半月，金毛家里常备
RX|老年犬关节养护粮 2kg|狗粮|安心|老年犬|149|口味=鹿肉|八岁以上软颗粒，爬楼梯有劲
RX|!一口鲜猫条 15g×20|宠物零食|活泼|成猫|29|口味=鲣鱼;口味=鸡肉;口味=扇贝|拆一根全家猫都围过来
RX|主食猫罐头 85g×12|宠物零食|天然|成猫|96|口味=鸡肉;口味=金枪鱼|胶冻里是丝状肉，可以当正餐
RX|冻干鸡胸肉粒 200g|宠物零食|天然|全犬种|45|规格=罐装|训练时掰一粒，一罐用很久
RX|鸭肉绕甘薯磨牙棒 400g|宠物零食|活泼|全犬种|39|规格=袋装|让它咬这个，别咬桌腿
RX|豆腐猫砂 6L|宠物用品|清新|成猫|26|香型=原味;香型=绿茶|结团快，可以少量冲厕所
RX|除臭喷雾 500ml|宠物用品|清新|养宠家庭|35|香型=青柠;香型=无香|猫砂盆旁边喷两下就够
RX|慢食防噎碗|宠物用品|活泼|全犬种|32|颜色=米白;颜色=雾蓝|吃得太快总吐的，换个碗试试
RX|羊奶粉宠物专用 300g|宠物零食|安心|幼猫,幼犬|58|规格=罐装|不含乳糖，幼宠喝了不拉稀
""",
    "澄露原述": """
CL|氨基酸洁面乳 120g|洁面|清新|敏感肌|69|肤质=干性;肤质=油性|洗完不紧绷，早晚都能用
CL|卸妆膏 90g|洁面|温和|通勤|89|香型=无香;香型=柑橘|眼妆一抹就化，不糊眼
CL|玻尿酸补水精华 30ml|精华|清新|干性肌|139|规格=单瓶|换季起皮那几天的救急
CL|烟酰胺亮肤精华 30ml|精华|科学|暗沉肌|159|规格=单瓶|先从隔天用起，三周看得见
CL|神经酰胺修护面霜 50g|面霜|温和|敏感肌|149|质地=霜;质地=乳|脸上发红发烫的晚上就涂它
CL|山茶花润泽面霜 50g|面霜|高端|熟龄肌|219|规格=单瓶|北方暖气房里也不干
CL|轻透防晒乳 50ml SPF50|防晒|清新|通勤|79|色号=原色;色号=微提亮|成膜快，不搓泥，不假白
CL|儿童物理防晒 60g|防晒|安心|儿童|85|规格=单支|清水能洗掉，孩子肯涂
CL|!补水面膜 5片|面膜|清新|全肤质|25|款式=芦荟;款式=燕麦;款式=绿豆|囤在冰箱里，军训回来的孩子正需要
CL|涂抹泥膜 100g|面膜|科学|油性肌|75|规格=单瓶|一周两次，鼻子上的黑头少了
CL|椰油护手霜 60g|身体护理|温和|通勤|29|香型=白茶;香型=桂花|抹完马上能敲键盘
CL|樱花身体乳 300ml|身体护理|浪漫|学生|55|香型=樱花;香型=无香|大瓶按压，宿舍里传着用
CL|无硅油洗发水 500ml|洗护|天然|细软发|65|发质=油性;发质=干性|头发蓬起来，第二天不塌
""",
    "麦垛山野": """
MD|每日坚果 25g×30|坚果|健康|上班族|99|配方=经典;配方=无葡萄干|一天一包，下午四点不饿
MD|原味夏威夷果 500g|坚果|天然|家庭|59|口味=奶香;口味=原味|开口大，孩子自己剥得开
MD|!手剥巴旦木 250g|坚果|实惠|家庭|22|口味=原味;口味=盐焗|追剧一晚上刚好一袋
MD|高钙牛肉干 200g|肉脯|实在|学生|56|口味=五香;口味=麻辣;口味=沙茶|牛后腿手撕，越嚼越香
MD|蜜汁猪肉脯 180g|肉脯|怀旧|家庭|36|口味=蜜汁;口味=香辣|薄得透光，小时候的味道
MD|芒果干 100g×3|果干|活泼|学生|33|规格=三连包|整片大果肉，软而不粘牙
MD|新疆灰枣 1kg|果干|天然|长辈|39|规格=袋装|核小肉厚，煮粥泡水都好
MD|柿饼礼盒 600g|果干|高端|送礼|68|规格=礼盒|霜白心软，送长辈体面
MD|全麦吐司 1kg|糕点|健康|健身|32|口味=原味;口味=黑麦|配料表短，热量写得清楚
MD|桃酥礼盒 500g|糕点|怀旧|送礼|48|口味=芝麻;口味=核桃|一碰就掉渣，老人家都认
MD|海盐苏打饼干 400g|糕点|清新|上班族|19|口味=海盐;口味=香葱|胃不舒服时垫一垫
MD|冻干草莓脆 60g|果干|活泼|儿童|29|规格=罐装|一咬就碎，没有加糖
MD|即食藜麦鸡胸 100g×6|轻食|健康|健身|59|口味=黑椒;口味=奥尔良|不柴，办公室微波一分钟
MD|小米锅巴 30g×20|膨化|活泼|学生|26|口味=麻辣;口味=牛肉|小包装，开一包停不下来
""",
    "檐角日常": """
YJ|水洗棉四件套 1.8m|床品|自然|年轻家庭|299|颜色=燕麦;颜色=雾蓝;颜色=豆沙|洗过几次更软，裸睡也舒服
YJ|大豆纤维被 200×230|床品|温暖|年轻家庭|239|厚度=春秋|轻得像没盖，又不漏风
YJ|护颈记忆枕|床品|安心|上班族|129|高度=低枕;高度=高枕|落枕三次之后换的
YJ|压缩收纳袋 8件|收纳|实用|租房|45|规格=套装|换季被子变成一张饼
YJ|抽屉分隔盒 6件|收纳|简约|租房|36|颜色=透明;颜色=米白|袜子终于能一双一双找到
YJ|衣柜挂式收纳架|收纳|简约|年轻家庭|59|层数=四层|不打孔，搬家拆了就走
YJ|不粘煎锅 28cm|厨房|实用|新手厨娘|149|颜色=墨绿|少油煎蛋，一推就滑
YJ|耐热玻璃饭盒 3件|厨房|简约|上班族|69|颜色=透明|微波炉直接进，盖子不漏汤
YJ|竹纤维抹布 10片|厨房|自然|家庭|19|颜色=混色|不用洗洁精也能擦净油
YJ|无火香薰 150ml|香薰|文艺|租房|79|香型=白桃乌龙;香型=雪松|推门进来像酒店大堂
YJ|大豆蜡香烛 180g|香薰|浪漫|送礼|59|香型=无花果;香型=橙花|停电那天全家围着它
YJ|珊瑚绒浴巾 2条|卫浴|温暖|家庭|49|颜色=灰粉;颜色=藏青|洗完澡裹上不滴水
YJ|!硅藻泥地垫|卫浴|实用|家庭|28|颜色=浅灰;颜色=米色|踩上去脚底马上干
""",
    "雾岭一盏": """
WL|明前绿茶 100g|绿茶|清新|懂茶人|168|等级=特级|豆香清，三泡还有甜
WL|高山云雾茶 250g|绿茶|自然|日常口粮|98|等级=一级|办公室一整罐，闷泡也不苦
WL|小种红茶 125g|红茶|温暖|女性|118|香型=蜜香;香型=松烟|早上一杯，胃里是暖的
WL|滇红金芽 100g|红茶|高端|送礼|188|规格=礼罐|汤色像琥珀，送人不会错
WL|老白茶饼 350g|白茶|怀旧|长辈|158|年份=三年|煮一壶放枣，全家喝一晚
WL|茉莉花茶 200g|花草茶|怀旧|长辈|65|规格=袋装|七窨一提，老北京的香
WL|桂花乌龙 15包|花草茶|文艺|上班族|39|规格=盒装|三角包，桂花是看得见的
WL|陈皮普洱小青柑 250g|普洱|健康|长辈|88|规格=罐装|吃完火锅来一颗
WL|!菊花枸杞茶 20包|花草茶|健康|上班族|24|配方=经典;配方=加决明子|盯屏幕的人桌上都该有
WL|冷泡水果茶 10包|花草茶|活泼|学生|32|口味=蜜桃;口味=青提;口味=荔枝|矿泉水瓶里摇一摇就好
WL|便携旅行茶具|茶具|简约|差旅|128|颜色=月白;颜色=茶末|一壶两杯，塞得进背包
WL|玻璃煮茶壶 800ml|茶具|文艺|年轻家庭|99|规格=单壶|看着茶叶翻上来就很解压
""",
}

# branch: code, region, head, joined_on, and its cities `code|name|slug|store title` (two empty: no store).
BRANCHES = [
    ("ZJ", "浙江", "周砚秋", "2025-03-01", "HZ|沈伯言|hangzhou|杭城严选小仓 NB|俞静和|| WZ|潘立川|wenzhou|瓯江好物站"),
    ("JS", "江苏", "顾怀瑾", "2025-03-15", "NJ|陆闻笙|jinling|金陵日用铺 SZ|钱亦舒||"),
    ("GD", "广东", "梁启航", "2025-04-01", "GZ|何嘉敏|yangcheng|羊城街坊 SZX|黄子俊|pengcheng|鹏城云仓 FS|区伟文||"),
    ("SC", "四川", "罗锦程", "2025-05-01", "CD|蒋一诺|rongcheng|蓉城安逸优选 MY|唐文远|mianyang|绵州好物集"),
]

# `parent|name|slug|store title|theme|pull`; the first letter of a theme names the brand it leans to, 杂 leans to none.
LEADERS = """
ZJ-HZ|沈晓棠|xiaotang|晓棠的猫咪食堂|绒|95
ZJ-HZ|林若溪|ruoxi|若溪护肤笔记|澄|70
ZJ-HZ|吴桂芬|guifen|桂芬阿姨零食铺|麦|55
ZJ-HZ|郑一帆|yifan|一帆家的小日子|檐|34
ZJ-HZ|姜雨桐|yutong|雨桐茶语|雾|18
ZJ-NB|徐海燕|haiyan|海燕宝妈团|杂|62
ZJ-NB|胡佳宁|jianing|佳宁的猫与花|绒|25
ZJ-NB|方志强|zhiqiang|志强大叔好货|麦|9
ZJ-WZ|叶知秋|zhiqiu|知秋的茶桌|雾|40
ZJ-WZ|陈美玲|meiling|美玲姐社区团|杂|14
JS-NJ|王思远|siyuan|思远铲屎官联盟|绒|58
JS-NJ|孙悦然|yueran|悦然敏感肌小站|澄|80
JS-NJ|赵秀兰|xiulan|秀兰邻里厨房|檐|30
JS-NJ|刘子墨|zimo|子墨宿舍小卖部|麦|22
JS-NJ|朱明月|mingyue|明月家居手帐|檐|0
JS-SZ|钱小满|xiaoman|小满的苏式点心|麦|66
JS-SZ|顾清禾|qinghe|清禾喝茶去|雾|28
JS-SZ|范静怡|jingyi|静怡妈妈优选|杂|45
JS-SZ|戴云舒|yunshu|云舒慢生活|檐|12
GD-GZ|黎嘉欣|jiaxin|嘉欣靓汤靓茶|雾|75
GD-GZ|冯伟健|weijian|健仔狗狗补给站|绒|50
GD-GZ|邓丽仪|liyi|丽仪美肤工作室|澄|38
GD-GZ|麦志豪|zhihao|豪仔零食档|麦|27
GD-SZX|苏婉婷|wanting|婉婷的通勤包|澄|88
GD-SZX|曾国栋|guodong|国栋程序员补给|麦|48
GD-SZX|温雅琪|yaqi|雅琪租房改造|檐|36
GD-SZX|丘启明|qiming|启明汪星人|绒|7
GD-FS|关慧珍|huizhen|慧珍街坊团|杂|20
GD-FS|霍文杰|wenjie|文杰茶档|雾|0
SC-CD|蒋小蓉|xiaorong|小蓉的巴适零食|麦|90
SC-CD|杨雪薇|xuewei|雪薇素颜日记|澄|52
SC-CD|何建国|jianguo|建国叔的盖碗茶|雾|33
SC-CD|谢子涵|zihan|子涵猫舍|绒|60
SC-CD|邹婷婷|tingting|婷婷的小窝|檐|16
SC-MY|廖春梅|chunmei|春梅社区优选|杂|26
SC-MY|易天成|tiancheng|天成宠物之家|绒|10
SC-MY|尹晓雯|xiaowen|晓雯护肤铺|澄|0
SC|罗安然|anran|安然直选|杂|42
"""
STATES = {"zhiqiang": "suspended", "qiming": "watch"}
# The days of the three months, counted from 0, in which a store sells: one was suspended in September, one is new.
OPEN_DAYS = {"zhiqiang": range(31), "tingting": range(51, DAYS)}
CITY_PULL = 24
THEMES = {"绒": "绒溪", "澄": "澄露", "麦": "麦垛", "檐": "檐角", "雾": "雾岭", "杂": "无"}

HEADS = {
    "tiers": "code,rank,name,is_leader",
    "network": "code,name,tier,parent_code,region,joined_on,state",
    "catalogue": "brand,product_code,title,category,tags,sku,options,supply_price,suggested_price,min_price,max_price,"
    "stock,image_url,tier_cost:province,tier_cost:city,tier_cost:leader",
    "stores": "slug,owner_code,title,region",
    "listings": "store_slug,brand,product_code,price,position,pitch",
    "plans": "plan,effective_from,margin_floor_bps,brand,product_code,sku,category,scheme,base,level_bps",
    "orders": "order_no,store_slug,customer_ref,paid_at,completed_at,brand,sku,quantity,unit_price,discount",
}
PLAN: list[list[object]] = [
    ["2026 标准方案", "2026-01-01", 500, *rule]
    for rule in [
        ["", "", "", "", "levels", "paid", "1200/300"],
        ["檐角日常", "", "", "", "levels", "margin", "3500/800"],
        ["绒溪小厨", "RX01", "", "", "levels", "paid", "1500/300"],
    ]
]

# What an owner may say around a selling point; `-` says nothing.
VOICES = """自己家用了半年才敢推|群里回购很多的一款|这周拼单的邻居有十几个|家里用完又添了两份|价格我跟总部磨了好久
不好用来找我退|换季前囤一份刚好|我家楼下取货当天就有|新人第一单我都推这个|老客人闭眼下单的那款
办公室同事天天催我开团|拍照发群里你就知道了|给孩子选东西我很挑|喜欢安静过日子的你会懂|一分钱一分货，这个值
仓库里看着它一箱箱走|试过五个牌子留下这个|出差我也带着|周末下单周二到|送礼自用都不丢面子
朋友圈被问了好多遍|我先替你们踩过坑了
-|-|-|-|-|-""".replace("\n", "|").split("|")


def percent(fen: int, share: int) -> int:
    """`share` percent of `fen`, down to the jiao (10 fen)."""
    return fen * share // 1000 * 10


def drawer(rng: random.Random, weights: dict[T, int]) -> Callable[[], T]:
    """A function that draws one of the keys, each as often as its weight says."""
    items, bounds = list(weights), list(accumulate(weights.values()))
    return lambda: items[bisect_right(bounds, rng.randrange(bounds[-1]))]


def shuffled(rng: random.Random, items: Iterable[T]) -> list[T]:
    pool = list(items)
    return [pool.pop(rng.randrange(len(pool))) for _ in range(len(pool))]


def products() -> list[Product]:
    made = []
    for brand, block in PRODUCTS.items():
        for number, line in enumerate(block.split("\n")[1:-1], 1):
            prefix, title, category, tonality, audience, price, options, point = line.split("|")
            tags = ";".join(
                [f"调性:{tag}" for tag in tonality.split(",")] + [f"人群:{tag}" for tag in audience.split(",")]
            )
            name, thin = title.removeprefix("!"), title.startswith("!")
            code = f"{prefix}{number:02d}"
            made.append(Product(brand, code, name, category, tags, int(price), options.split(";"), point, thin))
    return made


def variants(rng: random.Random, product: Product) -> list[Variant]:
    """One per option; in one product of three each further one costs half a yuan more and may not be sold as low."""
    share = THIN if product.thin else BRANDS[product.brand]
    suggested = product.yuan * 100 - 10
    step = 50 if rng.randrange(3) == 0 else 0
    return [
        Variant(
            product,
            f"{product.code}-{number + 1}",
            options,
            percent(suggested, share.supply) + number * step,
            {code: percent(suggested, getattr(share, code)) + number * step for code, _, _ in TIERS},
            percent(suggested, share.floor) + number * step,
            suggested,
            percent(suggested, share.ceiling),
            rng.randrange(20, 200) * 10,
        )
        for number, options in enumerate(product.options)
    ]


def days_after(rng: random.Random, day: str, least: int, most: int) -> str:
    return (datetime.fromisoformat(day) + timedelta(days=rng.randrange(least, most))).date().isoformat()


def network(rng: random.Random) -> tuple[list[Distributor], list[Store]]:
    people: dict[str, Distributor] = {}
    stores: list[Store] = []
    for code, region, head, joined, cities in BRANCHES:
        people[code] = Distributor(code, head, "province", "", region, joined, "active")
        for city in cities.split(" "):
            place, name, slug, title = city.split("|")
            since = days_after(rng, joined, 20, 90)
            owner = Distributor(f"{code}-{place}", name, "city", code, region, since, "active")
            people[owner.code] = owner
            if slug:
                stores.append(Store(slug, owner, title, "杂", CITY_PULL))
    for line in LEADERS.split("\n")[1:-1]:
        parent, name, slug, title, theme, pull = line.split("|")
        number = sum(person.parent == parent for person in people.values()) + 1
        if slug in OPEN_DAYS and OPEN_DAYS[slug].start:
            since = (FIRST_DAY + timedelta(days=OPEN_DAYS[slug].start - 1)).date().isoformat()
        else:
            since = days_after(rng, people[parent].joined_on, 60, 330)
        region, state = people[parent].region, STATES.get(slug, "active")
        owner = Distributor(f"{parent}-{number:02d}", name, "leader", parent, region, since, state)
        people[owner.code] = owner
        stores.append(Store(slug, owner, title, theme, int(pull)))
    return list(people.values()), stores


def selection(rng: random.Random, store: Store, catalogue: list[list[Variant]]) -> list[Listing]:
    """24 to 40 products, the store's own brand first; its prices follow a habit, inside the limits of every variant."""
    own = [group for group in catalogue if group[0].product.brand.startswith(THEMES[store.theme])]
    rest = [group for group in catalogue if group not in own]
    chosen = shuffled(rng, own) + shuffled(rng, rest)
    habit, voices = rng.randrange(90, 110), shuffled(rng, VOICES)[:10]
    listings = []
    for group in chosen[: rng.randrange(24, 41)]:
        product = group[0].product
        low = max(max(variant.low, variant.costs[store.owner.tier]) for variant in group)
        high = min(variant.high for variant in group)
        wanted = percent(group[0].suggested, habit + rng.randrange(-3, 4)) // 100 * 100 + 90
        words = [product.point, voices[rng.randrange(len(voices))]]
        pitch = "。".join(words if rng.randrange(2) else words[::-1]).strip("-。")
        listings.append(Listing(product, group, min(max(wanted, low), high), pitch))
    return listings


class Shop(NamedTuple):
    """What drawing an order needs of a store: `day` and `pick` draw a day and the index of a listing.

    With `trend` 1 it sells more towards the end, with -1 towards the beginning.
    """

    store: Store
    listings: list[Listing]
    customers: list[str]
    day: Callable[[], int]
    pick: Callable[[], int]
    trend: int


def shops(rng: random.Random, stores: list[Store], listings: dict[str, list[Listing]]) -> list[Shop]:
    made = []
    for number, store in enumerate(stores):
        own, days = listings[store.slug], OPEN_DAYS.get(store.slug, range(DAYS))
        busy = {day: 17 if (FIRST_DAY + timedelta(days=day)).weekday() >= 5 else 10 for day in days}
        popular = {index: (60 if one.product.thin else 30) // (2 + index // 4) + 1 for index, one in enumerate(own)}
        customers = [f"kh-{number:02d}{index:03d}" for index in range(4 + store.pull * rng.randrange(50, 90) // 100)]
        day, pick = drawer(rng, busy), drawer(rng, popular)
        made.append(Shop(store, own, customers, day, pick, rng.randrange(-1, 2)))
    return made


def order_times(rng: random.Random, shop: Shop) -> tuple[datetime, datetime | None]:
    """When an order was paid and when it was completed; one in three of the last four days is not completed yet."""
    days = sorted(shop.day() for _ in range(2))
    day = days[0] if shop.trend < 0 else days[1] if shop.trend > 0 else shop.day()
    second = min(rng.randrange(8, 23), rng.randrange(8, 30)) * 3600 + rng.randrange(3600)
    paid = FIRST_DAY + timedelta(days=day, seconds=second)
    if day >= DAYS - 4 and rng.randrange(3) == 0:
        return paid, None
    return paid, paid + timedelta(days=rng.randrange(3, 9), seconds=rng.randrange(36000))


def order_lines(rng: random.Random, shop: Shop) -> list[tuple[Variant, int, int, int]]:
    """(variant, quantity, unit price, discount) of one order; a coupon of 5 or 10 percent falls on every line of it."""
    count = (1, 1, 1, 1, 2, 2, 2, 3, 3, 4)[rng.randrange(10)]
    coupon = (0, 0, 0, 0, 0, 0, 0, 5, 5, 10)[rng.randrange(10)]
    lines = {}
    for _ in range(count):
        listing = shop.listings[shop.pick()]
        variant = listing.variants[rng.randrange(len(listing.variants))]
        quantity = (1, 1, 1, 1, 1, 1, 1, 2, 2, 3)[rng.randrange(10)]
        lines[variant.sku] = (variant, quantity, listing.price, percent(quantity * listing.price, coupon))
    return list(lines.values())


def orders(rng: random.Random, open_shops: list[Shop]) -> list[list[object]]:
    """The rows of orders.csv, oldest first."""
    draw = drawer(rng, {index: shop.store.pull for index, shop in enumerate(open_shops)})
    made: list[tuple[datetime, int, list[object], datetime | None, list[tuple[Variant, int, int, int]]]] = []
    for _ in range(ORDERS):
        shop = open_shops[draw()]
        # A small index comes up more often: regulars. One order in fifty is by a customer of another store.
        crowd = open_shops[draw()].customers if rng.randrange(50) == 0 else shop.customers
        customer = crowd[rng.randrange(rng.randrange(len(crowd)) + 1)]
        paid, completed = order_times(rng, shop)
        made.append((paid, len(made), [shop.store.slug, customer], completed, order_lines(rng, shop)))
    rows: list[list[object]] = []
    for number, (paid, _, who, completed, lines) in enumerate(sorted(made, key=lambda one: one[:2]), 1):
        head = [f"SO{paid:%y%m%d}{number:05d}", *who, paid.isoformat(), completed.isoformat() if completed else ""]
        for variant, quantity, price, discount in lines:
            rows.append(
                [*head, variant.product.brand, variant.sku, quantity, format_yuan(price), format_yuan(discount)]
            )
    return rows


def catalogue_row(variant: Variant) -> list[object]:
    product = variant.product
    prices = [variant.supply, variant.suggested, variant.low, variant.high]
    return [
        *(product.brand, product.code, product.title, product.category, product.tags, variant.sku, variant.options),
        *map(format_yuan, prices),
        variant.stock,
        f"https://images.example.com/{product.code.lower()}.jpg",
        *(format_yuan(variant.costs[code]) for code, _, _ in TIERS),
    ]


def files() -> dict[str, list[list[object]]]:
    """The rows of every file of the sample, by its name without `.csv`, without the header."""
    rng = random.Random(SEED)
    people, stores = network(rng)
    catalogue = [variants(rng, product) for product in products()]
    listings = {store.slug: selection(rng, store, catalogue) for store in stores}
    return {
        "tiers": [[code, rank, name, str(code == "leader").lower()] for code, rank, name in TIERS],
        "network": [list(person) for person in people],
        "catalogue": [catalogue_row(variant) for group in catalogue for variant in group],
        "stores": [[one.slug, one.owner.code, one.title, one.owner.region] for one in stores],
        "listings": [
            [slug, one.product.brand, one.product.code, format_yuan(one.price), position, one.pitch]
            for slug, chosen in listings.items()
            for position, one in enumerate(chosen, 1)
        ],
        "plans": PLAN,
        "orders": orders(rng, shops(rng, stores, listings)),
    }


def main(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for name, rows in files().items():
        with (out / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([HEADS[name].split(","), *rows])


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "sample")
